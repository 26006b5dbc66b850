"""What the model does not show: large messages, the broker's own clock, waking, unregistering."""

from collections.abc import Iterator
from itertools import count

import pytest

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.condemned import Postponed
from hive.store.values import ClaimStatus, ConsumerInfo, Fate, Outcome, Outgoing, Start
from tests.support.redis_server import RedisServer

INFO = ConsumerInfo(node="celery@test", pid=1, version="0", started_ms=0)
NUMBER = count()


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Store]:
    client = redis_server.client(retry=never_repeating())
    yield Store(client, layout=Layout(prefix=f"claims{next(NUMBER)}-"), settings=DeliverySettings())
    client.close()


def send(store: Store, id_: str, payload: bytes = b"{}", queue: str = "q") -> None:
    assert store.publish(Outgoing(queue=queue, payload=payload, message_id=id_))


def woken(store: Store, queues: list[str], timeout_s: float) -> str | None:
    """Wait as a consumer does, and return the queue that was woken."""
    lists = dict(zip(store.wake_keys(queues), queues, strict=True))
    found = store.client.blpop(list(lists), timeout=timeout_s)
    return lists[found[0].decode()] if found else None


def test_a_claim_stops_after_a_megabyte_but_takes_one(store: Store) -> None:
    store.register("c", ["q"], INFO)
    for number in range(3):
        send(store, f"large{number}", b"x" * 3_000_000)
    for number in range(20):
        send(store, f"small{number}", b"x" * 100_000)
    sizes = []
    for sequence in (1, 2, 3, 4):
        claim = store.claim("c", ["q"], sequence=sequence, credit=100)
        assert claim.more
        sizes.append(len(claim.deliveries))
    assert sizes == [1, 1, 1, 11]


def test_the_brokers_clock_gives_tokens_and_leases(store: Store) -> None:
    before_ms = store.server_time_ms()
    store.register("c", ["q"], INFO)
    send(store, "m")
    (one,) = store.claim("c", ["q"], sequence=1, credit=1).deliveries
    (record,) = store.consumers("q")
    after_ms = store.server_time_ms()
    assert before_ms + 6000 <= record.lease_end_ms <= after_ms + 6000
    # A queue that nobody knew begins an hour ahead, see the epoch.
    assert before_ms + 3_600_000 <= one.id.token // 1000 <= after_ms + 3_600_000 + 1


def test_wake_tokens_are_hints_that_do_not_pile_up(store: Store, redis_server: RedisServer) -> None:
    store.register("c", ["q", "other"], INFO)
    assert woken(store, ["q", "other"], 0.01) is None
    for number in range(10):
        send(store, f"m{number}", queue="other")
    assert woken(store, ["q", "other"], 5) == "other"
    assert woken(store, ["q", "other"], 0.01) is None
    assert len(store.claim("c", ["q", "other"], sequence=1, credit=4).deliveries) == 4
    assert woken(store, ["q", "other"], 5) == "other"  # six are left for somebody else


def test_a_consumer_leaves_once_it_holds_nothing(store: Store) -> None:
    store.register("c", ["q"], INFO)
    send(store, "m1")
    send(store, "m2")
    claim = store.claim("c", ["q"], sequence=1, credit=2)
    assert store.unregister("c", ["q"]) == 2
    assert store.requeue("c", [one.id for one in claim.deliveries]) == (Outcome.DONE, Outcome.DONE)
    assert store.unregister("c", ["q"]) == 0
    assert store.unregister("c", ["q"]) == 0
    assert store.claim("c", ["q"], sequence=2, credit=2).status is ClaimStatus.UNREGISTERED
    assert [payload for _, payload in store.pop(["q"], count=9)] == [b"{}", b"{}"]
    assert list(store.client.scan_iter(match=f"{store.layout.prefix}*:c")) == []


def test_popping_takes_by_priority_over_all_queues(store: Store) -> None:
    for queue, priority in (("a", 3), ("b", 0), ("a", 0), ("b", 9)):
        store.publish(Outgoing(queue=queue, payload=f"{queue}{priority}".encode(), message_id="m", priority=priority))
    assert [payload for _, payload in store.pop(["a", "b"], count=3)] == [b"a0", b"b0", b"a3"]
    assert store.pop(["a", "b"]) == (("b", b"b9"),)
    assert store.pop(["a", "b"]) == ()


def test_handing_back_many_keeps_their_order(store: Store) -> None:
    store.register("c", ["q"], INFO)
    for number in range(6):
        send(store, f"m{number}", f"{number}".encode())
    deliveries = store.claim("c", ["q"], sequence=1, credit=4).deliveries
    store.requeue("c", [deliveries[place].id for place in (2, 0, 3, 1)])
    assert [payload for _, payload in store.pop(["q"], count=9)] == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_a_suspect_waits_for_an_idle_process_and_runs_alone(redis_server: RedisServer) -> None:
    client = redis_server.client(retry=never_repeating())
    settings = DeliverySettings(max_deliveries=2)
    store = Store(client, layout=Layout(prefix=f"claims{next(NUMBER)}-"), settings=settings)
    for consumer in ("busy", "other", "idle"):
        store.register(consumer, ["q", "r"], INFO)
    for id_ in ("killer", "a", "b"):
        send(store, id_, id_.encode())
    killer, held = store.claim("busy", ["q", "r"], sequence=1, credit=2).deliveries
    store.start("busy", [Start(id=killer.id, message_id="killer")])
    assert store.reject("busy", killer.id, "signal 9") is Fate.SUSPECT

    # It says it is idle, but holds a message: the broker knows better, and gives it the turn to run empty.
    claim = store.claim("busy", ["r", "q"], sequence=2, credit=5, idle=True)
    assert (claim.status, claim.deliveries, claim.suspects_waiting) == (ClaimStatus.DRAIN, (), True)
    # Nobody else stands still for it.
    claim = store.claim("other", ["q", "r"], sequence=1, credit=5)
    assert [one.payload for one in claim.deliveries] == [b"b"]
    assert claim.suspects_waiting

    store.finish("busy", [held.id])
    for id_ in ("c", "d"):
        send(store, id_)
    woken(store, ["q"], 5)
    (suspect,) = store.claim("busy", ["q", "r"], sequence=3, credit=5, idle=True).deliveries
    assert (suspect.payload, suspect.suspect) == (b"killer", True)
    assert woken(store, ["q"], 5) == "q"  # somebody else is woken for c and d
    assert store.claim("busy", ["q", "r"], sequence=4, credit=5).status is ClaimStatus.ALONE
    assert len(store.claim("idle", ["q", "r"], sequence=1, credit=5, idle=True).deliveries) == 2

    # Handed back unstarted it is still a suspect; started and lost once more it is dead.
    store.requeue("busy", [suspect.id])
    assert store.stats("q").suspects == 1
    (suspect,) = store.claim("busy", ["q", "r"], sequence=5, credit=5, idle=True).deliveries
    (started,) = store.start("busy", [Start(id=suspect.id, message_id="killer")])
    assert started.deaths == 1
    assert store.reject("busy", suspect.id, "signal 9") is Fate.DEAD
    assert store.claim("busy", ["q", "r"], sequence=6, credit=5).status is ClaimStatus.TAKEN
    client.close()


@pytest.mark.parametrize("way", ["reschedule", "postpone"])
def test_a_suspect_that_waited_for_its_time_is_still_a_suspect(redis_server: RedisServer, way: str) -> None:
    client = redis_server.client(retry=never_repeating())
    settings = DeliverySettings(max_deliveries=2)
    store = Store(client, layout=Layout(prefix=f"claims{next(NUMBER)}-"), settings=settings)
    store.register("c", ["q"], INFO)
    store.register("busy", ["q"], INFO)
    send(store, "held")
    assert len(store.claim("busy", ["q"], sequence=1, credit=1).deliveries) == 1
    send(store, "killer", b"killer")
    (killer,) = store.claim("c", ["q"], sequence=1, credit=1).deliveries
    store.start("c", [Start(id=killer.id, message_id="killer")])
    assert store.reject("c", killer.id, "signal 9") is Fate.SUSPECT
    for round_, promote in enumerate((lambda: store.renew("c", ["q"]), lambda: None)):
        (suspect,) = store.claim("c", ["q"], sequence=2 + round_, credit=5, idle=True).deliveries
        if way == "reschedule":
            store.reschedule("c", suspect.id, "killer", due_ms=1)
        else:
            assert store.postpone("c", suspect.id, "killer", grace_s=60, look_s=0) is Postponed.WAITS
        assert [(one.payload, one.priority) for one in store.scheduled("q")] == [(b"killer", 0)]
        promote()
        claim = store.claim("busy", ["q"], sequence=2 + round_, credit=5)
        assert (claim.deliveries, store.stats("q").suspects) == ((), 1), "nobody runs it beside another task"
    client.close()


def test_whoever_forgives_a_gap_gives_each_its_own_term_and_takes_nothing(redis_server: RedisServer) -> None:
    now_ms = 1_800_000_000_000
    client = redis_server.client(retry=never_repeating())
    layout = Layout(prefix=f"claims{next(NUMBER)}-")
    long, short = (
        Store(client, layout=layout, settings=DeliverySettings(lease_s=lease_s), now_ms=lambda: now_ms)
        for lease_s in (60.0, 2.0)
    )
    long.register("long", ["q"], INFO)
    short.register("short", ["q"], INFO)

    def ends_ms() -> dict[str, int]:
        return {record.consumer: record.lease_end_ms - now_ms for record in short.consumers("q")}

    assert short.tick(["q"])[0].forgiven
    assert ends_ms() == {"long": 60_000, "short": 2_000}
    now_ms += 5_000
    assert short.tick(["q"])[0].forgiven
    assert ends_ms() == {"long": 60_000, "short": 2_000}
    # The clock was set back: an end by the old clock would keep the dead alive for an hour.
    now_ms -= 3_600_000
    assert short.tick(["q"])[0].forgiven
    assert ends_ms() == {"long": 60_000, "short": 2_000}
    client.close()


def test_a_look_says_when_the_next_lease_ends_so_that_the_next_look_can_be_just_then(redis_server: RedisServer) -> None:
    now_ms = 1_800_000_000_000
    client = redis_server.client(retry=never_repeating())
    layout = Layout(prefix=f"claims{next(NUMBER)}-")
    store = Store(client, layout=layout, settings=DeliverySettings(lease_s=6.0), now_ms=lambda: now_ms)
    store.register("dies", ["q"], INFO)
    assert store.tick(["q"])[0].next_end_s is None, "all leases were just extended"
    now_ms += 2_000
    store.register("lives", ["q"], INFO)
    assert store.tick(["q"])[0].next_end_s == 4.0
    now_ms += 2_500
    assert store.tick(["q"])[0].next_end_s == 1.5
    now_ms += 1_500
    (tick,) = store.tick(["q"])
    assert (tick.expired, tick.next_end_s) == (("dies",), 2.0)
    client.close()
