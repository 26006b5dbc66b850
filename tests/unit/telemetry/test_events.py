import dataclasses

import pytest

from hive.monitoring import prometheus
from hive.telemetry.events import EVENTS, Event, QueueObserved, WorkerObserved


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_every_field_is_explained(event: type[Event]) -> None:
    explained = [
        field.name for field in dataclasses.fields(event) if f"        {field.name}: " in (event.__doc__ or "")
    ]
    assert explained == [field.name for field in dataclasses.fields(event)]


@pytest.mark.parametrize(
    ("event", "tables"),
    [
        (QueueObserved, (prometheus.QUEUE_GAUGES, prometheus.QUEUE_COUNTERS)),
        (WorkerObserved, (prometheus.WORKER_GAUGES, prometheus.WORKER_COUNTERS)),
    ],
)
def test_every_measurement_is_a_metric(event: type[Event], tables: tuple[dict[str, tuple[str, str]], ...]) -> None:
    shown = {field for table in tables for field, _ in table.values()}
    # Labels, and the two that are one metric with a label for the priority.
    others = {"queue", "worker", "ready", "ready_by_priority"}
    assert {field.name for field in dataclasses.fields(event)} - others == shown
