"""Lanes: what is meant for one worker, and what becomes of it when that worker dies, idles or is overrun."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.lane import LongLane, ServedLanes
from hive.store.values import ConsumerInfo, Outcome, Outgoing, Start
from hive.testing import ManualClock
from tests.support.redis_server import RedisServer

NUMBER = count()


class Fleet:
    """Stores of several workers over one prefix and one clock."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client(retry=never_repeating())
        self._prefix = f"lanes{next(NUMBER)}-"
        self.clock = ManualClock()
        self.caller = self.store()

    def store(self, worker: str = "") -> Store:
        lanes = ServedLanes()
        lanes.worker = worker
        return Store(
            self._client,
            layout=Layout(prefix=self._prefix),
            settings=DeliverySettings(),
            now_ms=self.clock.wall_ms,
            lanes=lanes,
        )

    def worker(self, name: str, *, reports: bool = True) -> Store:
        store = self.store(name)
        info = ConsumerInfo(node=name, pid=1, version="0", started_ms=0)
        store.register(f"life-{name}", ["q"], info)
        if reports:
            store.report_load("q", name, f"life-{name}", b'{"slots": 1}')
        return store

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def fleet(redis_server: RedisServer) -> Iterator[Fleet]:
    fleet = Fleet(redis_server)
    yield fleet
    fleet.close()


def send(store: Store, *ids: str, lane: str | None = None, priority: int = 0) -> None:
    for id_ in ids:
        message = Outgoing(queue="q", payload=id_.encode(), message_id=id_, dedup_id=id_, lane=lane, priority=priority)
        assert store.publish(message)


def claimer(store: Store) -> Callable[..., list[str]]:
    """Return what claims for a worker and tells which messages it got."""
    sequence = count(1)

    def claim(credit: int = 10, number: int | None = None) -> list[str]:
        worker = store.served_lanes.worker if store.served_lanes else ""
        found = store.claim(f"life-{worker}", ["q"], sequence=number or next(sequence), credit=credit)
        return [one.payload.decode() for one in found.deliveries]

    return claim


def test_a_lane_is_its_workers_alone_and_goes_before_the_shared_queue(fleet: Fleet) -> None:
    one, other = claimer(fleet.worker("a")), claimer(fleet.worker("b"))
    send(fleet.caller, "s1")
    send(fleet.caller, "a1", "a2", lane="a")
    send(fleet.caller, "a0", lane="a", priority=0)
    assert fleet.caller.in_lanes("q") == {"a": 3, "b": 0}
    assert other() == ["s1"]
    send(fleet.caller, "s2")
    assert one(2) == ["a1", "a2"]
    assert one() == ["a0", "s2"]
    assert other() == []


def test_every_fourth_claim_begins_with_the_shared_queue(fleet: Fleet) -> None:
    claim = claimer(fleet.worker("a"))
    send(fleet.caller, *(f"a{n}" for n in range(8)), lane="a")
    send(fleet.caller, "s1", "s2")
    assert [claim(1)[0][0] for _ in range(8)] == list("aaasaaas")


def test_names_of_lanes_are_plain_lists_and_wake_their_worker(fleet: Fleet) -> None:
    store = fleet.worker("coder@host")
    send(fleet.caller, "m", lane="coder@host")
    prefix = fleet.caller.layout.prefix
    assert store.client.lrange(f"{prefix}q@coder@host", 0, -1) == [b"m"]
    assert store.wake_keys(["q"])[1:] == (f"{prefix}{{q}}:hive:wake:coder@host",)
    assert store.client.llen(store.wake_keys(["q"])[1]) == 1
    assert store.client.llen(store.wake_keys(["q"])[0]) == 0


def test_a_repeated_claim_and_a_repeated_publish_find_the_lane_as_it_was(fleet: Fleet) -> None:
    claim = claimer(fleet.worker("a"))
    send(fleet.caller, "m", lane="a")
    assert not fleet.caller.publish(Outgoing(queue="q", payload=b"m", message_id="m", dedup_id="m", lane="a"))
    assert not fleet.caller.publish(Outgoing(queue="q", payload=b"m", message_id="m", dedup_id="m"))
    assert claim(number=1) == ["m"]
    assert claim(number=1) == ["m"]
    assert claim(number=2) == []


def test_what_is_sent_to_a_dead_worker_or_a_stranger_goes_to_the_shared_queue(fleet: Fleet) -> None:
    fleet.worker("dead")
    claim = claimer(fleet.worker("silent", reports=False))
    fleet.clock.advance(6.5)
    living = claimer(fleet.worker("living"))
    send(fleet.caller, "d", lane="dead")
    send(fleet.caller, "x", lane="nobody")
    send(fleet.caller, "s", lane="silent")
    assert living() == ["d", "x", "s"]
    assert claim() == []


def test_the_lane_of_the_dead_drains_in_order_and_their_claims_are_reaped_to_all(fleet: Fleet) -> None:
    dead, living = fleet.worker("dead"), fleet.worker("living")
    send(fleet.caller, "c", *(f"m{n}" for n in range(5)), lane="dead")
    assert claimer(dead)(1) == ["c"]
    fleet.caller.tick(["q"])
    assert living.drain_lane("q", "dead") == 0
    for _ in range(7):
        fleet.clock.advance(1)
        living.renew("life-living", ["q"])
        living.tick(["q"])
    assert [lane.worker for lane in living.lanes("q") if not lane.is_alive] == ["dead"]
    assert living.drain_lane("q", "dead") == 5
    assert living.drain_lane("q", "dead") == 0
    assert [lane.worker for lane in living.lanes("q")] == ["living"]
    assert living.reap("q", "life-dead").returned == 1
    assert claimer(living)() == ["c", "m0", "m1", "m2", "m3", "m4"]
    assert living.stats("q").counters["rerouted"] == 5


def test_a_start_in_a_lane_counts_with_the_queues_deaths(fleet: Fleet) -> None:
    """Three starts that end with a death make a dead letter, wherever the message waited in between."""
    store = fleet.worker("a")
    claim = claimer(store)
    send(fleet.caller, "m", lane="a")
    fates = []
    for number in range(1, 4):
        found = store.claim("life-a", ["q"], sequence=number, credit=1, idle=True).deliveries
        assert store.start("life-a", [Start(id=found[0].id, message_id="m")])[0].outcome is Outcome.DONE
        fates.append(store.reject("life-a", found[0].id, "killed").value)
    assert fates == ["ready", "suspect", "dead"]
    assert claim(number=9) == []


def test_an_idle_worker_steals_half_of_what_is_above_the_bound(fleet: Fleet) -> None:
    fleet.worker("long")
    idle = fleet.worker("idle")
    claim = claimer(idle)
    send(fleet.caller, *(f"m{n}" for n in range(9)), lane="long")
    assert claim() == []
    assert idle.served_lanes is not None
    idle.served_lanes.long = {"q": LongLane(worker="long", bound=2)}
    idle.served_lanes.has_room = lambda: False
    assert claim() == []
    idle.served_lanes.has_room = lambda: True
    assert claim() == ["m0", "m1", "m2", "m3"]
    assert claim(1) == ["m4"]
    assert [len(claim()) for _ in range(4)] == [1, 1, 0, 0]
    assert fleet.caller.in_lanes("q")["long"] == 2
    assert fleet.caller.stats("q").counters["stolen"] == 7
    send(fleet.caller, "own", lane="idle")
    send(fleet.caller, "s")
    assert claim(2, number=9) == ["own", "s"]


def test_lanes_are_purged_and_drained_with_their_queue(fleet: Fleet) -> None:
    fleet.worker("a")
    send(fleet.caller, "m1", "m2", lane="a")
    assert fleet.caller.purge("q").ready == 2
    send(fleet.caller, "m3", lane="a")
    assert fleet.caller.drain_lanes("q") == 1
    assert fleet.caller.lanes("q") == ()
    send(fleet.caller, "m4", lane="a")
    assert sum(fleet.caller.stats("q").ready.values()) == 2


def test_a_load_is_read_as_it_was_reported(fleet: Fleet) -> None:
    store = fleet.worker("a")
    send(fleet.caller, "m", lane="a")
    fleet.clock.advance(1.5)
    (lane,) = fleet.caller.lanes("q")
    assert (lane.worker, lane.is_alive, lane.age_s, lane.waiting, lane.load) == ("a", True, 1.5, 0, b'{"slots": 1}')
    store.report_load("q", "a", "life-a", b"{}")
    (lane,) = fleet.caller.lanes("q")
    assert (lane.age_s, lane.waiting, lane.load) == (0.0, 1, b"{}")


def test_a_batch_goes_to_its_lanes(fleet: Fleet) -> None:
    one, other = claimer(fleet.worker("a")), claimer(fleet.worker("b"))
    lanes = {"m1": "a", "m2": "b", "m3": None, "m4": "a"}
    messages = [Outgoing(queue="q", payload=id_.encode(), message_id=id_, lane=lane) for id_, lane in lanes.items()]
    assert all(fleet.caller.publish_many(messages))
    assert one(2) == ["m1", "m4"]
    assert other(1) == ["m2"]
    assert one() == ["m3"]
