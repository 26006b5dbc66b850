from typing import Any

import pytest
from celery import Celery

from hive.cli.bench.peers import Row, adapter, standings
from hive.cli.bench.record import summarise


def test_ratios_are_taken_within_rounds() -> None:
    rounds = [
        {"hive": {"tasks_per_s": 600.0, "memory_mb": 50.0}, "stock": {"tasks_per_s": 100.0, "memory_mb": 40.0}},
        {"hive": {"tasks_per_s": 800.0, "memory_mb": 50.0}, "stock": {"tasks_per_s": 200.0, "memory_mb": 50.0}},
        {"hive": {"tasks_per_s": 100.0, "memory_mb": 50.0}, "stock": {"tasks_per_s": 20.0, "memory_mb": 100.0}},
    ]
    tasks, memory = summarise(rounds)
    assert (tasks.hive, tasks.stock, tasks.ratio, tasks.spread) == (600, 100, 5, (4, 6))
    assert not tasks.less_is_better
    assert memory.ratio == 1
    assert memory.less_is_better


def test_what_one_side_lacks_has_no_ratio() -> None:
    (only,) = summarise([{"hive": {"extra": 1.0}, "stock": {}}])
    assert (only.hive, only.stock, only.ratio) == (1, None, None)


@pytest.mark.parametrize(("measure", "ratio"), [("throughput", 2.0), ("latency", 1.0)])
def test_a_peer_stands_against_the_better_hive_of_its_round(measure: str, ratio: float) -> None:
    rows = [
        Row(name="hive-threads", text="", value=400.0),
        Row(name="hive-prefork", text="", value=200.0),
        Row(name="peer", text="", value=200.0),
        Row(name="absent", text="not measured", value=None),
    ]
    found = {standing.name: standing for standing in standings([rows], measure)}
    assert found["peer"].hive_ratio == ratio
    assert found["absent"].median is None


def test_hive_among_the_peers_reports_no_more_of_its_tasks_than_celery_does() -> None:
    theirs = 'from celery import Celery\n\napp = Celery("bench", broker="redis://127.0.0.1:1/0")\n'
    module: dict[str, Any] = {}
    exec(adapter(theirs), module)
    app = module["app"]
    assert type(app).__name__ == "Hive"
    assert app.conf.worker_send_task_events == Celery().conf.worker_send_task_events
