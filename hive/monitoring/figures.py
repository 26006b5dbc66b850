"""Taking the figures of queues and workers."""

from typing import Any

from celery.worker import state

from hive.store.store import Store
from hive.telemetry.events import QueueObserved, WorkerObserved
from hive.transport.envelope import UnreadableError, read, ready_since_ms


def observe_queue(store: Store, queue: str) -> QueueObserved:
    """Return a queue's figures, in five round trips, six with lanes; nothing is changed.

    Raises:
        BrokerGoneError: the broker does not answer.
    """
    stats = store.stats(queue)
    now_ms = store.server_time_ms()
    counters = stats.counters
    ages_s = [_age_s(payload, now_ms) for payload in (stats.oldest, stats.oldest_behind)]
    return QueueObserved(
        queue=queue,
        ready=sum(stats.ready.values()),
        ready_by_priority=stats.ready,
        scheduled=stats.scheduled,
        parked=store.parked_count(queue),
        suspects=stats.suspects,
        in_flight=stats.in_flight,
        started=stats.started,
        dead=stats.dead,
        consumers=stats.consumers,
        behind=stats.behind,
        in_lanes=sum(store.in_lanes(queue).values()),
        oldest_age_s=max((age_s for age_s in ages_s if age_s is not None), default=None),
        deduplicated_total=counters.get("deduplicated", 0),
        promoted_total=counters.get("promoted", 0),
        redelivered_total=counters.get("redelivered", 0),
        refused_total=counters.get("refused", 0),
        reaped_total=counters.get("reaped", 0),
        deaths_total=counters.get("deaths", 0),
        dead_total=counters.get("dead", 0),
        forgiven_total=counters.get("forgiven", 0),
        twins_total=counters.get("twins", 0),
        refused_full_total=counters.get("refused_full", 0),
        shed_total=counters.get("shed", 0),
    )


def _age_s(payload: bytes | None, now_ms: int) -> float | None:
    if payload is None:
        return None
    try:
        since_ms = ready_since_ms(read(payload))
    except UnreadableError:
        # Its consumer will set it aside; until then nobody knows how old it is.
        return None
    return None if since_ms is None else max(now_ms - since_ms, 0) / 1000


def observe_worker(consumer: Any) -> WorkerObserved:
    """Return the figures of this process, which runs Celery's worker ``consumer``."""
    members = consumer.app.process.members()
    return WorkerObserved(
        worker=consumer.hostname,
        running=len(state.active_requests),
        reserved=len(state.reserved_requests),
        late_renewals_total=sum(member.lease.late_count for member in members),
        refused_total=sum(member.consumer.refused_count for member in members),
        local_breakers=consumer.app.circuits.local_count,
        reconnects_total=max(consumer.restart_count, 0),
    )
