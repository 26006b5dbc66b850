"""The figures in Prometheus' words."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hive.monitoring.breakers import BreakerCollector
from hive.monitoring.figures import observe_queue, observe_worker
from hive.store.store import Store
from hive.telemetry.events import QueueObserved, WorkerObserved

#: Metric -> (field of the event, help).
QUEUE_GAUGES = {
    "hive_queue_behind": ("behind", "Messages that wait for their key's turn, behind the ready ones."),
    "hive_queue_in_lanes": ("in_lanes", "Messages that wait in the lanes of single workers."),
    "hive_queue_scheduled": ("scheduled", "Messages that wait for their time."),
    "hive_queue_parked": ("parked", "Messages that wait for a signal, a sleep's end or an agent."),
    "hive_queue_suspects": ("suspects", "Messages that wait to be run alone."),
    "hive_queue_in_flight": ("in_flight", "Messages that consumers hold."),
    "hive_queue_started": ("started", "Messages whose tasks run."),
    "hive_queue_dead_letters": ("dead", "Dead letters."),
    "hive_queue_consumers": ("consumers", "Registered worker processes."),
    "hive_queue_oldest_age_seconds": (
        "oldest_age_s",
        "How long the message to be claimed next, or the oldest behind, waits.",
    ),
}
QUEUE_COUNTERS = {
    "hive_deduplicated": ("deduplicated_total", "Publishes dropped as repeats."),
    "hive_promoted": ("promoted_total", "Scheduled messages made ready."),
    "hive_redelivered": ("redelivered_total", "Messages returned after a death or a lost lease."),
    "hive_refused": ("refused_total", "Steps refused because the delivery was another's."),
    "hive_reaps": ("reaped_total", "Dead consumers whose messages were returned."),
    "hive_deaths": ("deaths_total", "Starts that ended with the death of their worker."),
    "hive_dead": ("dead_total", "Messages set aside as dead letters."),
    "hive_forgiven_gaps": ("forgiven_total", "Gaps after which all leases were extended."),
    "hive_twins": ("twins_total", "Calls that were handed the result of another, which held their key."),
    "hive_refused_full": ("refused_full_total", "Publishes refused because the queue was full."),
    "hive_shed": ("shed_total", "Messages set aside because the queue was full."),
}
WORKER_GAUGES = {
    "hive_worker_running": ("running", "Tasks whose bodies run."),
    "hive_worker_reserved": ("reserved", "Tasks the worker holds."),
    "hive_worker_local_breakers": ("local_breakers", "Breakers it decides alone, because the broker is away."),
}
WORKER_COUNTERS = {
    "hive_worker_late_renewals": ("late_renewals_total", "Renewals that came after half of the lease."),
    "hive_worker_refused": ("refused_total", "The worker's own steps that were refused."),
    "hive_worker_reconnects": ("reconnects_total", "Times the worker connected to the broker again."),
}

_Table = dict[str, tuple[str, str]]


class QueueCollector(Collector):
    """Takes the figures of queues at each scrape.

    Args:
        store: returns the store to ask, in the thread that scrapes.
        queues: returns the names of the queues.
    """

    def __init__(self, store: Callable[[], Store], queues: Callable[[], Sequence[str]]) -> None:
        self._store, self._queues = store, queues

    def collect(self) -> Iterator[Metric]:
        """Yield all families.

        Raises:
            BrokerGoneError: the broker does not answer; the scrape fails, which is how Prometheus learns of it.
        """
        store = self._store()
        observed = [observe_queue(store, queue) for queue in self._queues()]
        ready = GaugeMetricFamily("hive_queue_ready", "Messages that may be claimed now.", labels=["queue", "priority"])
        for one in observed:
            for priority, count in one.ready_by_priority.items():
                ready.add_metric([one.queue, str(priority)], count)
        yield ready
        yield from _families(GaugeMetricFamily, QUEUE_GAUGES, "queue", observed)
        yield from _families(CounterMetricFamily, QUEUE_COUNTERS, "queue", observed)

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: registering a collector must not ask the broker."""
        return iter(())


class WorkerCollector(Collector):
    """Takes the figures of one worker process at each scrape.

    Args:
        consumer: returns Celery's consumer of the process.
    """

    def __init__(self, consumer: Callable[[], Any]) -> None:
        self._consumer = consumer

    def collect(self) -> Iterator[Metric]:
        """Yield all families; none before the worker consumes."""
        consumer = self._consumer()
        if consumer is not None:
            observed = [observe_worker(consumer)]
            yield from _families(GaugeMetricFamily, WORKER_GAUGES, "worker", observed)
            yield from _families(CounterMetricFamily, WORKER_COUNTERS, "worker", observed)

    def describe(self) -> Iterator[Metric]:
        """Yield nothing before a scrape."""
        return iter(())


def _families(
    family: Callable[..., Any], table: _Table, label: str, observed: Sequence[QueueObserved | WorkerObserved]
) -> Iterator[Metric]:
    for name, (field, text) in table.items():
        metric = family(name, text, labels=[label])
        for one in observed:
            value = getattr(one, field)
            if value is not None:
                metric.add_metric([getattr(one, label)], value)
        yield metric


def exposition(store: Store, queues: Sequence[str]) -> str:
    """Return the figures of queues as Prometheus text.

    Raises:
        BrokerGoneError: the broker does not answer.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(QueueCollector(lambda: store, lambda: queues))
    registry.register(BreakerCollector(lambda: store))
    return generate_latest(registry).decode()
