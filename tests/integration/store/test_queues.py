"""Operations on whole queues: figures, purge, expiry, dead letters, and the doors to and from stock Celery."""

import json

import kombu
import pytest
from kombu.transport.redis import Transport as StockTransport

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.queue_values import Purged
from hive.store.reaping import REAP_MESSAGES
from hive.store.run_values import FAR_MS, Place
from hive.store.turn import Fair
from hive.store.values import ConsumerInfo, Delivery, Outcome, Outgoing, Start
from tests.support.broker_clock import BrokerClock
from tests.support.redis_server import RedisServer

INFO = ConsumerInfo(node="celery@test", pid=7, version="1.0", started_ms=5)


def publish(store: Store, *ids: str, queue: str = "q", priority: int = 0, due_ms: int | None = None) -> None:
    for id_ in ids:
        store.publish(Outgoing(queue=queue, payload=id_.encode(), message_id=id_, priority=priority, due_ms=due_ms))


def claim_all(store: Store, consumer: str, queue: str = "q") -> tuple[Delivery, ...]:
    store.register(consumer, [queue], INFO)
    return store.claim(consumer, [queue], sequence=1, credit=100).deliveries


def expire(store: Store, clock: BrokerClock, queue: str = "q") -> None:
    """Let every lease end under ticks without a gap."""
    for _ in range(6):
        store.tick([queue])
        clock.now_ms += 1400
    store.tick([queue])


def test_stats_count_every_place(store: Store, clock: BrokerClock) -> None:
    publish(store, "a", "b", "c", "d")
    first, second, third, fourth = claim_all(store, "c1")
    store.start("c1", [Start(id=one.id, message_id="x") for one in (first, second)])
    store.dead_letter("c1", third.id, reason="undecodable", cause="not JSON", message_id="c")
    store.finish("c1", [fourth.id])
    publish(store, "low", priority=9)
    publish(store, "high")
    publish(store, "later", due_ms=clock.now_ms + 1)
    stats = store.stats("q")
    assert stats.ready == {0: 1, 3: 0, 6: 0, 9: 1}
    assert (stats.scheduled, stats.suspects, stats.in_flight, stats.started, stats.dead) == (1, 0, 2, 2, 1)
    assert (stats.consumers, stats.oldest, stats.epoch) == (1, b"high", 1)
    assert stats.counters == {"dead": 1, "dead_bytes": 1}
    (record,) = store.consumers("q")
    assert (record.consumer, record.info, record.in_flight) == ("c1", INFO, 2)
    assert record.lease_end_ms == clock.now_ms + 6000


def test_a_dead_letter_keeps_reason_history_and_raw_bytes(store: Store, clock: BrokerClock) -> None:
    raw = b"\x00\xff[] {} not utf-8 \x80"
    store.publish(Outgoing(queue="q", payload=raw, message_id="m", priority=6))
    for number, consumer in enumerate(("c1", "c2", "c3")):
        store.register(consumer, ["q"], INFO)
        (one,) = store.claim(consumer, ["q"], sequence=1, credit=9, idle=True).deliveries
        assert one.suspect is (number == 2)
        store.start(consumer, [Start(id=one.id, message_id="m")])
        clock.now_ms += 10
        store.reject(consumer, one.id, f"signal {number}")
    (letter,) = store.dead_letters("q")
    assert (letter.payload, letter.priority, letter.message_id, letter.queue) == (raw, 6, "m", "q")
    assert (letter.reason, letter.at_ms) == ("max_deliveries", clock.now_ms)
    assert [(death.consumer, death.how) for death in letter.history] == [
        ("c1", "signal 0"), ("c2", "signal 1"), ("c3", "signal 2"),
    ]  # fmt: skip
    assert "3 times, last: signal 2" in letter.cause
    assert store.dead_count("q") == 1
    assert store.dead_letters("q", offset=1) == ()


def test_purge_leaves_what_is_in_flight_and_dead(store: Store, clock: BrokerClock) -> None:
    publish(store, "a", "b")
    held, dead = claim_all(store, "c1")
    store.dead_letter("c1", dead.id, reason="r", cause="c")
    publish(store, "c", "d", priority=3)
    publish(store, "later", due_ms=clock.now_ms + 1000)
    assert store.purge("q") == Purged(ready=2, scheduled=1, suspects=0)
    assert store.purge("q") == Purged(ready=0, scheduled=0, suspects=0)
    assert store.delete_queue("q") == Purged(ready=0, scheduled=0, suspects=0)
    assert store.finish("c1", [held.id]) == (Outcome.DONE,)
    assert store.dead_count("q") == 1


def test_a_deleted_queue_leaves_no_key_and_an_expiring_one_ends(store: Store) -> None:
    publish(store, "a")
    claim_all(store, "c1")
    store.touch({"q": 60_000}, "c1")
    keys = list(store.client.scan_iter(match=f"{store.layout.prefix}*"))
    assert len(keys) > 4
    held = ("consumers", "info", "state", "counters", "inflight:c1", "claimed:c1")
    for key in keys:
        kept_ms = 60_000 + (86_400_000 if key.decode().endswith(held) else 0)
        assert kept_ms - 10_000 < store.client.pttl(key) <= kept_ms, key

    publish(store, "b", queue="gone")
    store.delete_queue("gone")
    assert [key for key in store.client.scan_iter(match=f"{store.layout.prefix}*") if b"gone" in key] == []


def test_what_is_published_in_turn_while_its_queue_is_deleted_is_claimable(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish_in_turn(*numbers: int) -> None:
        fair = Fair("key")
        store.publish_many([Outgoing(queue="q", payload=b"%d" % n, message_id=f"{n}", fair=fair) for n in numbers])

    publish_in_turn(1, 2, 3)
    purge = store.purge

    def purge_and_publish(queue: str) -> Purged:
        purged = purge(queue)
        publish_in_turn(4, 5)
        return purged

    monkeypatch.setattr(store, "purge", purge_and_publish)
    store.delete_queue("q")
    publish_in_turn(6)
    assert [one.payload for one in claim_all(store, "c")] == [b"4", b"5", b"6"]


def test_scheduled_messages_are_listed_and_cancelled(store: Store, clock: BrokerClock) -> None:
    publish(store, "second", due_ms=clock.now_ms + 2000, priority=3)
    publish(store, "first", due_ms=clock.now_ms + 1000)
    soon, late = store.scheduled("q")
    assert (soon.message_id, soon.due_ms, soon.payload) == ("first", clock.now_ms + 1000, b"first")
    assert (late.message_id, late.priority) == ("second", 3)
    assert store.cancel_scheduled("q", ["first", "unknown"]) == 1
    clock.now_ms += 5000
    assert [one.payload for one in claim_all(store, "c1")] == [b"second"]


def test_release_gives_everything_back_to_plain_lists(store: Store, clock: BrokerClock) -> None:
    publish(store, "held", "started", "dead", "living")
    deliveries = claim_all(store, "c1")
    store.start("c1", [Start(id=deliveries[1].id, message_id="started")])
    store.dead_letter("c1", deliveries[2].id, reason="r", cause="c")
    store.register("c2", ["q"], INFO)
    store.requeue("c1", [deliveries[3].id])
    (living,) = store.claim("c2", ["q"], sequence=1, credit=1).deliveries
    publish(store, "later", due_ms=clock.now_ms + 10**9, priority=6)
    for _ in range(6):
        clock.now_ms += 1400
        store.renew("c2", ["q"])

    released = store.release_queue("q")
    assert (released.in_flight, released.scheduled, released.suspects, released.dead) == (2, 1, 0, 1)
    assert released.remaining == 0
    assert store.release_queue("q").in_flight == 0
    names = store.queue_keys("q")
    assert set(store.client.lrange(names.ready[0], 0, -1)) == {b"held", b"started", b"dead"}
    assert store.client.lrange(names.ready[2], 0, -1) == [b"later"]
    assert store.finish("c1", [deliveries[0].id]) == (Outcome.STALE,)
    assert store.finish("c2", [living.id]) == (Outcome.DONE,)


def test_what_is_parked_is_listed_and_goes_back_with_the_rest(store: Store, clock: BrokerClock) -> None:
    publish(store, "sleeps", "waits", "later")
    sleeps, waits, _ = claim_all(store, "c1")
    for one, id_, due_ms in ((sleeps, "sleeps", clock.now_ms + 500), (waits, "waits", None)):
        where = Place(task_id=f"task of {id_}", queue="q", message_id=id_, field="wait")
        assert store.park("c1", one.id, where, due_ms=due_ms).outcome is Outcome.DONE
    assert [(one.message_id, one.due_ms) for one in store.parked("q")] == [
        ("sleeps", clock.now_ms + 500),
        ("waits", FAR_MS),
    ]
    assert [one.payload for one in store.parked("q", 1)] == [b"sleeps"]
    assert store.release_queue("q").scheduled == 2
    assert (store.parked("q"), store.client.exists(store.queue_keys("q").key("parked"))) == ((), 0)


def test_a_large_holding_is_released_and_reaped_in_batches(store: Store, clock: BrokerClock) -> None:
    names = [f"m{number:03}" for number in range(REAP_MESSAGES + 50)]
    publish(store, *names)
    store.register("c1", ["q"], INFO)
    for sequence in range(1, len(names) // 100 + 2):
        store.claim("c1", ["q"], sequence=sequence, credit=100)
    expire(store, clock)
    first = store.reap("q", "c1")
    assert (first.returned, first.remaining) == (REAP_MESSAGES, 50)
    assert store.register("c2", ["q"], INFO)
    assert store.renew("c1", ["q"])[0].registered is False
    assert store.release_queue("q").in_flight == 50
    order = [payload for _, payload in store.pop(["q"], count=1000)]
    assert order == [name.encode() for name in names]


def stock(server: RedisServer) -> kombu.Connection:
    return kombu.Connection(server.url, transport=StockTransport, transport_options={"visibility_timeout": 3600})


def test_stock_kombu_and_the_store_share_ready_lists_and_priorities(redis_server: RedisServer) -> None:
    store = Store(redis_server.client(retry=never_repeating()), layout=Layout(), settings=DeliverySettings())
    queue = kombu.Queue("shared", kombu.Exchange("shared", "direct"), routing_key="shared")
    with stock(redis_server) as connection:
        producer = connection.Producer()
        for priority in (9, 0, 5, 3):
            producer.publish(
                {"priority": priority},
                exchange=queue.exchange,
                routing_key="shared",
                declare=[queue],
                priority=priority,
            )
        store.register("c1", ["shared"], INFO)
        deliveries = store.claim("c1", ["shared"], sequence=1, credit=9).deliveries
        assert [one.priority for one in deliveries] == [0, 3, 3, 9]
        store.publish(Outgoing(queue="shared", payload=deliveries[0].payload, message_id="again", priority=0))
        taken = queue.bind(connection.default_channel).get(no_ack=True)
        assert taken is not None
        assert taken.payload == {"priority": 0}


def test_what_a_stock_worker_left_unacknowledged_is_taken_over(own_redis: RedisServer) -> None:
    store = Store(own_redis.client(retry=never_repeating()), layout=Layout(), settings=DeliverySettings())
    queue = kombu.Queue("left", kombu.Exchange("left", "direct"), routing_key="left")
    with stock(own_redis) as connection:
        producer = connection.Producer()
        for number in range(3):
            producer.publish(
                {"number": number}, exchange=queue.exchange, routing_key="left", declare=[queue], priority=3 * number
            )
        bound = queue.bind(connection.default_channel)
        held = [bound.get(no_ack=False) for _ in range(3)]
        assert store.adopt_unacked(lambda exchange, key: ["left"], older_than_s=60).adopted == 0
        # One is acknowledged after the list was read: its record is gone, so it must not come back.
        held[0].ack()
        adopted = store.adopt_unacked(lambda exchange, key: [key] if exchange == "left" else [], older_than_s=0)
        assert (adopted.adopted, adopted.left, adopted.remaining) == (2, (), 0)
        assert store.adopt_unacked(lambda exchange, key: ["left"], older_than_s=0).adopted == 0
    taken = store.pop(["left"], count=10)
    envelopes = [json.loads(payload) for _, payload in taken]
    assert [one["properties"]["priority"] for one in envelopes] == [3, 6]
    assert all(one["headers"]["redelivered"] for one in envelopes)
    assert store.client.hlen("unacked") == store.client.zcard("unacked_index") == 0


def test_records_that_lead_nowhere_stay_where_they_are(store: Store) -> None:
    prefix = store.layout.prefix
    for tag, record in (("broken", b"{"), ("homeless", json.dumps([{"body": ""}, "ex", "key"]).encode())):
        store.client.hset(f"{prefix}unacked", tag, record)
        store.client.zadd(f"{prefix}unacked_index", {tag: 1})
    adopted = store.adopt_unacked(lambda exchange, key: [], older_than_s=0)
    assert (adopted.adopted, sorted(adopted.left), adopted.remaining) == (0, ["broken", "homeless"], 0)
    assert store.client.hlen(f"{prefix}unacked") == 2
    assert store.adopt_unacked(lambda exchange, key: [], older_than_s=0, offset=2).left == ()


def test_a_renewal_wakes_for_what_a_stock_producer_left(store: Store) -> None:
    store.register("c1", ["q"], INFO)
    names = store.queue_keys("q")
    store.renew("c1", ["q"])
    assert store.client.llen(names.key("wake")) == 0
    store.client.lpush(names.ready[2], b"stock")
    for _ in range(2):
        store.renew("c1", ["q"])
        assert store.client.llen(names.key("wake")) == 1
