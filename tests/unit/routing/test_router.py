"""The router and what it knows of workers: who may be chosen, and that nobody waits for the broker to choose."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hive.agents.registry import load_registry
from hive.errors import UnknownAgentTypeError
from hive.routing.least_loaded import LeastLoaded
from hive.routing.report import LoadReport, worker_of
from hive.routing.router import Router
from hive.routing.snapshots import WANTED_S, Snapshots
from hive.settings.parts import RoutingSettings
from hive.store.faults import BrokerGoneError
from hive.store.lane import LaneRecord
from hive.testing import ManualClock
from tests.support.eventually import eventually

TYPES = load_registry({"talker": {"capabilities": [{"kind": "talk", "proficiency": 0.9}]}})


def lane(worker: str, *, alive: bool = True, age_s: float = 0.1, load: bytes | None = None) -> LaneRecord:
    written = LoadReport(slots=2, busy=1, held=1).written() if load is None else load
    return LaneRecord(worker=worker, is_alive=alive, age_s=age_s, waiting=3, load=written)


class Broker:
    """Lanes as a test sets them; notes which thread asks."""

    def __init__(self, *lanes: LaneRecord) -> None:
        self.found, self.threads = lanes, list[str]()
        self.error: Exception | None = None

    def lanes(self, queue: str) -> tuple[LaneRecord, ...]:
        self.threads.append(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        return self.found if queue == "agent.talker" else ()


@pytest.fixture
def known() -> Any:
    """A function that makes snapshots of a broker; they are stopped after the test."""
    made = []

    def make(broker: Broker, clock: ManualClock | None = None, **settings: float) -> Snapshots:
        snapshots = Snapshots(TYPES, lambda: broker, RoutingSettings(**settings), clock or ManualClock())  # type: ignore[arg-type,return-value]
        made.append(snapshots)
        return snapshots

    yield make
    for snapshots in made:
        snapshots.stop()


def task(**fields: Any) -> Any:
    return SimpleNamespace(**{"agent_type": "talker", "routing": None, "kind": None, **fields})


def names(snapshots: Snapshots) -> list[str]:
    return [worker.name for worker in snapshots.pools(["talker"])[0].workers]


def test_calls_without_key_and_strategy_go_to_the_shared_queue_without_a_decision(
    known: Callable[..., Snapshots],
) -> None:
    broker = Broker(lane("a"))
    router = Router(TYPES, known(broker), ManualClock())
    assert router("t", (), {}, {}, task()) == {"queue": "agent.talker"}
    assert router("t", (), {}, {"agent_type": "code_reviewer"}, task()) == {"queue": "agent.code_reviewer"}
    assert router("t", (), {}, {"queue": "q", "headers": {"hive_affinity": "k"}}, task()) is None
    assert router("t", (), {}, {}, task(agent_type=None)) is None
    assert router("t", (), {}, {"headers": {"hive_affinity": "k"}}, task(agent_type=None)) is None
    with pytest.raises(UnknownAgentTypeError, match="talker"):
        router("t", (), {}, {"agent_type": "talkr"}, task())
    assert broker.threads == []


def test_a_key_a_strategy_or_a_kind_leads_to_a_lane(known: Callable[..., Snapshots]) -> None:
    snapshots = known(Broker(lane("a")))
    snapshots.read("talker")
    router = Router(TYPES, snapshots, ManualClock())
    expected = {"queue": "agent.talker", "hive_lane": "a"}
    assert router("t", (), {}, {"headers": {"hive_affinity": "k"}}, task()) == expected
    assert router("t", (), {}, {"headers": {"hive_affinity": "k"}, "agent_type": "talker"}, None) == expected
    assert router("t", (), {}, {}, task(routing=LeastLoaded())) == expected
    assert router("t", (), {}, {}, task(agent_type=None, kind="talk")) == expected
    assert router("t", (), {}, {}, task(agent_type=None, kind="unknown")) is None
    # What was sent counts until the next look: three of the five waited before, one of them runs.
    assert snapshots.pools(["talker"])[0].workers[0].queued == 4 + 4


def test_without_a_fresh_look_a_call_goes_to_the_shared_queue_and_never_waits(known: Callable[..., Snapshots]) -> None:
    broker, clock = Broker(lane("a")), ManualClock()
    snapshots = known(broker, clock)
    eventually(lambda: names(snapshots) == ["a"], what="the thread has looked")
    clock.advance(3.1)
    snapshots.stop()
    before = len(broker.threads)
    broker.error = BrokerGoneError("away")
    assert Router(TYPES, snapshots, clock)("t", (), {}, {}, task(routing=LeastLoaded())) == {"queue": "agent.talker"}
    eventually(lambda: len(broker.threads) > before, what="the thread looks again")
    assert set(broker.threads) == {"hive-snapshots"}


def test_the_dead_the_silent_and_what_cannot_be_read_are_no_candidates(known: Callable[..., Snapshots]) -> None:
    rests = LoadReport(slots=2, busy=0, held=0, rests_s=5.0).written()
    found = (
        lane("c"), lane("dead", alive=False), lane("silent", age_s=3.0), lane("odd", load=b"{}"), lane("a"),
        lane("mute", age_s=8.0, load=b"{}"), lane("rests", age_s=7.9, load=rests), lane("slept", age_s=8.0, load=rests),
    )  # fmt: skip
    snapshots = known(Broker(*found))
    snapshots.read("talker")
    assert names(snapshots) == ["a", "c", "rests"]


def test_a_look_ends_when_nobody_wants_it(known: Callable[..., Snapshots]) -> None:
    broker, clock = Broker(lane("a")), ManualClock()
    snapshots = known(broker, clock, report_every_s=0.01, fresh_s=1.0)
    snapshots.pools(["talker"])
    eventually(lambda: len(broker.threads) > 2, what="it looks again and again")
    clock.advance(WANTED_S + 1)
    eventually(lambda: all(one.name != "hive-snapshots" for one in threading.enumerate()), what="the thread ends")
    before = len(broker.threads)
    assert names(snapshots) == []
    eventually(lambda: len(broker.threads) > before, what="it looks again")


def test_a_report_is_read_as_it_was_written() -> None:
    report = LoadReport(
        slots=4, busy=3, held=2, rate=2.5, failed_share=0.25, cpu=0.5, memory=0.75, free_memory_mb=1024.0
    )
    worker = worker_of("w", 7, report.written())
    assert worker is not None
    assert (worker.slots, worker.busy, worker.queued, worker.rate, worker.failed_share) == (4, 3, 9, 2.5, 0.25)
    assert (worker.cpu, worker.memory, worker.free_memory_mb, worker.load) == (0.5, 0.75, 1024.0, 3.0)
