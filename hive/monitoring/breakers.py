"""The figures of breakers, as the broker knows them."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hive.resilience.breaker import BreakerState
from hive.store.breakers import BreakerRecord
from hive.store.store import Store

#: Metric -> (field of the record, help).
GAUGES = {
    "hive_breaker_window_calls": ("calls", "Calls in the sliding window."),
    "hive_breaker_window_failures": ("failed", "Failed calls in the sliding window."),
    "hive_breaker_probes_out": ("probes_out", "Probes that have not ended."),
}
COUNTERS = {
    "hive_breaker_answered": ("answered_total", "Calls that were answered."),
    "hive_breaker_failed": ("failed_total", "Calls that failed."),
    "hive_breaker_refused": ("refused_total", "Calls and starts of tasks that were refused."),
    "hive_breaker_opened": ("opened_total", "Times the breaker opened."),
    "hive_breaker_probes": ("probes_total", "Probes given out."),
    "hive_breaker_lost_probes": ("lost_probes_total", "Probes whose process died."),
}


def breaker_records(store: Store) -> list[BreakerRecord]:
    """Return all that is known of every breaker, one round trip for each; nothing is changed.

    Raises:
        BrokerGoneError: the broker does not answer.
    """
    return [record for name in store.breaker_names() if (record := store.breaker(name)) is not None]


class BreakerCollector(Collector):
    """Takes the figures of breakers at each scrape.

    Args:
        store: returns the store to ask, in the thread that scrapes.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Yield all families.

        Raises:
            BrokerGoneError: the broker does not answer; the scrape fails, which is how Prometheus learns of it.
        """
        records = breaker_records(self._store())
        stands = GaugeMetricFamily("hive_breaker_state", "1 for the state it is in.", labels=["breaker", "state"])
        for record in records:
            for state in BreakerState:
                stands.add_metric([record.name, state.word], float(record.view.state is state))
        yield stands
        for name, (field, text) in GAUGES.items():
            yield _filled(GaugeMetricFamily(name, text, labels=["breaker"]), field, records)
        for name, (field, text) in COUNTERS.items():
            yield _filled(CounterMetricFamily(name, text, labels=["breaker"]), field, records)

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: registering a collector must not ask the broker."""
        return iter(())


def _filled(family: Metric, field: str, records: list[BreakerRecord]) -> Metric:
    for record in records:
        family.add_metric([record.name], getattr(record, field))  # type: ignore[attr-defined]
    return family
