"""The lease thread's work, one look at a time, against a real broker."""

import json
import uuid
from itertools import pairwise

import pytest

from hive.settings.model import Settings
from hive.settings.parts import DeliverySettings
from hive.store.connection import connect
from hive.store.faults import BrokerGoneError
from hive.store.keys import Layout
from hive.store.store import Store
from hive.store.values import ClaimStatus, DeliveryId, Outgoing, Start
from hive.testing.clock import ManualClock
from hive.transport.consumer import Consumer
from hive.transport.lease import ADOPT_EVERY_S, BEHIND_END_S, Lease, StockRecords
from hive.transport.process import Process
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

SETTINGS = DeliverySettings()


@pytest.fixture
def queue() -> str:
    return f"q-{uuid.uuid4().hex[:8]}"


class Worker:
    """A consumer and its lease, both moved by hand."""

    def __init__(self, server: RedisServer, clock: ManualClock, stock: StockRecords | None = None) -> None:
        self.store = Store(connect(server.url), layout=Layout(), settings=SETTINGS, now_ms=clock.wall_ms)
        self.consumer = Consumer(self.store, Process("w", clock).describe)
        self.has_moved = False
        self.lease = Lease(
            self.consumer, self.store, SETTINGS, clock=clock, adopting=stock, has_moved=lambda: self.has_moved
        )
        # Its thread is not wanted here: looks are made by hand.
        self.lease.start = lambda: None  # type: ignore[method-assign]
        self.lease.open_channel()


def put(worker: Worker, queue: str, count: int) -> None:
    worker.store.publish_many([Outgoing(queue=queue, payload=b"{}", message_id=str(n)) for n in range(count)])


def live(clock: ManualClock, seconds: float, *workers: Worker) -> None:
    for _ in range(round(seconds / 0.5)):
        clock.advance(0.5)
        for worker in workers:
            worker.lease.run_once()


def test_a_renewed_lease_keeps_its_messages_however_long_they_take(redis_server: RedisServer, queue: str) -> None:
    clock = ManualClock()
    holder, other = Worker(redis_server, clock), Worker(redis_server, clock)
    put(holder, queue, 3)
    assert len(holder.consumer.claim([queue], 3).deliveries) == 3
    assert other.consumer.claim([queue], 3).deliveries == ()
    live(clock, 60, holder, other)
    assert other.consumer.claim([queue], 3).deliveries == ()


def test_what_a_silent_worker_held_is_claimable_after_its_lease_and_the_worker_begins_anew(
    redis_server: RedisServer, queue: str
) -> None:
    clock = ManualClock()
    silent, other = Worker(redis_server, clock), Worker(redis_server, clock)
    put(silent, queue, 3)
    lost: list[int] = []
    silent.consumer.on_lost = lambda deliveries: lost.append(len(deliveries))
    first = silent.consumer.claim([queue], 3).deliveries
    silent.consumer.start(Start(id=first[0].id, message_id="0"))
    other.consumer.claim([queue], 1)
    live(clock, SETTINGS.lease_s + 1.5, other)
    again = other.consumer.claim([queue], 3).deliveries
    assert len(again) == 3
    assert min(d.id.token for d in again) > max(d.id.token for d in first)
    before = silent.consumer.id
    silent.consumer.finish(first[0].id)
    silent.consumer.flush()
    live(clock, 2, silent, other)
    assert lost == [2]
    assert silent.consumer.id != before
    assert silent.consumer.refused_count >= 1
    assert other.consumer.holds(again[0].id)


def test_a_lease_that_is_gone_on_one_queue_takes_only_that_queue_s_messages(
    redis_server: RedisServer, queue: str
) -> None:
    clock = ManualClock()
    holder, other = Worker(redis_server, clock), Worker(redis_server, clock)
    kept = f"{queue}-kept"
    put(holder, queue, 2)
    put(holder, kept, 2)
    lost: list[DeliveryId] = []
    holder.consumer.on_lost = lost.extend
    held = {one.id.queue: one.id for one in holder.consumer.claim([queue, kept], 2).deliveries}
    claimed = [*held.values(), *(one.id for one in holder.consumer.claim([queue, kept], 2).deliveries)]
    life = holder.consumer.id
    holder.store.client.zrem(holder.store.queue_keys(queue).key("consumers"), life)
    # Found out by a claim, or by the next renewal: here by a claim.
    assert holder.consumer.claim([queue, kept], 1).status is ClaimStatus.UNREGISTERED
    assert holder.consumer.id == life
    assert {one.queue for one in lost} == {queue}
    mine = [one for one in claimed if one.queue == kept]
    assert mine
    assert all(holder.consumer.holds(one) for one in mine)
    assert holder.consumer.claim([queue, kept], 1).status is ClaimStatus.TAKEN, "registered anew where it was lost"

    holder.store.client.zrem(holder.store.queue_keys(queue).key("consumers"), life)
    live(clock, 2, holder, other)
    assert holder.consumer.id == life
    for one in mine:
        holder.consumer.finish(one)
    holder.consumer.flush()
    assert holder.store.stats(kept).in_flight == 0
    assert holder.consumer.refused_count == 0


def test_messages_of_a_claim_that_never_arrived_go_back_uncounted(redis_server: RedisServer, queue: str) -> None:
    clock = ManualClock()
    worker = Worker(redis_server, clock)
    put(worker, queue, 2)
    worker.consumer.claim([queue], 1)
    # The broker knows of a claim whose reply this consumer has forgotten.
    worker.store.claim(worker.consumer.id, [queue], sequence=1, credit=1)
    forgotten = next(iter(worker.consumer._held))
    worker.consumer._held.clear()
    live(clock, 2, worker)
    assert worker.store.stats(queue).ready[0] == 2
    assert not worker.consumer.holds(forgotten)
    assert worker.store.stats(queue).counters.get("deaths") is None


def test_the_consumer_leaves_when_its_last_channel_closed_and_nothing_is_held(
    redis_server: RedisServer, queue: str
) -> None:
    clock = ManualClock()
    worker = Worker(redis_server, clock)
    put(worker, queue, 1)
    (delivery,) = worker.consumer.claim([queue], 1).deliveries
    worker.lease.close_channel()
    assert len(worker.store.consumers(queue)) == 1
    worker.consumer.finish(delivery.id)
    live(clock, 1, worker)
    assert worker.store.consumers(queue) == ()
    assert not worker.lease.open_channel()


def test_what_a_stock_worker_left_is_taken_over_after_its_timeout(own_redis: RedisServer) -> None:
    clock = ManualClock()
    stock = StockRecords(visibility_timeout_s=60, key="unacked", index_key="unacked_index")
    worker = Worker(own_redis, clock, stock)
    worker.consumer.claim(["mine"], 1)
    client = own_redis.client()
    for name, queue in (("a", "mine"), ("b", "theirs")):
        envelope = {"body": "", "headers": {}, "properties": {"delivery_tag": name, "priority": 0, "delivery_info": {}}}
        client.hset("unacked", name, json.dumps([envelope, "", queue]))
        client.zadd("unacked_index", {name: clock.wall_ms() / 1000 - 61})
    live(clock, ADOPT_EVERY_S + 2, worker)
    assert client.hkeys("unacked") == [b"b"]
    assert len(worker.consumer.claim(["mine"], 5).deliveries) == 1


def test_a_queue_that_expires_is_kept_while_it_is_consumed_and_never_costs_the_lease(
    redis_server: RedisServer, queue: str
) -> None:
    clock = ManualClock()
    worker = Worker(redis_server, clock)
    expiring = f"{queue}-x"
    worker.consumer.interest.want(expiring, 5_000)
    put(worker, queue, 1)
    put(worker, expiring, 2)
    assert len(worker.consumer.claim([queue, expiring], 2).deliveries) == 2
    client = redis_server.client()
    in_flight = f"{{{expiring}}}:hive:inflight:{worker.consumer.id}"
    for key in (expiring, in_flight):
        client.pexpire(key, 1_000)
    live(clock, 2, worker)
    assert 4_000 < client.pttl(expiring) <= 5_000
    assert client.pttl(in_flight) > 60_000

    # Whatever else may make the broker forget us there, what is held of the other queue stays ours.
    (held,) = (one for one in worker.consumer._held if one.queue == queue)
    for other in [one for one in worker.consumer._held if one.queue == expiring]:
        worker.consumer.finish(other)
    worker.consumer.flush()
    client.delete(f"{{{expiring}}}:hive:consumers")
    live(clock, 2, worker)
    assert worker.consumer.holds(held)
    assert len(worker.store.consumers(expiring)) == 1


def test_a_cancelled_queue_is_left_once_nothing_of_it_is_held(redis_server: RedisServer, queue: str) -> None:
    clock = ManualClock()
    worker = Worker(redis_server, clock)
    kept = f"{queue}-kept"
    for name in (queue, queue, kept):
        worker.consumer.interest.want(name)
    put(worker, queue, 1)
    (delivery,) = worker.consumer.claim([queue, kept], 1).deliveries
    worker.consumer.interest.cancel(queue)
    worker.consumer.finish(delivery.id)
    worker.consumer.flush()
    live(clock, 2, worker)
    assert len(worker.store.consumers(queue)) == 1, "another channel consumes it"

    put(worker, queue, 1)
    (delivery,) = worker.consumer.claim([queue, kept], 1).deliveries
    worker.consumer.interest.cancel(queue)
    live(clock, 2, worker)
    assert len(worker.store.consumers(queue)) == 1, "something of it is held"
    worker.consumer.finish(delivery.id)
    worker.consumer.flush()
    live(clock, 2, worker)
    assert worker.store.consumers(queue) == ()
    assert worker.consumer.queues == (kept,)
    put(worker, queue, 1)
    assert len(worker.consumer.claim([queue], 1).deliveries) == 1


def test_reaping_many_on_a_slow_broker_does_not_cost_the_lease(redis_server: RedisServer, queue: str) -> None:
    clock = ManualClock()
    worker = Worker(redis_server, clock)
    dead = [Worker(redis_server, clock) for _ in range(12)]
    put(worker, queue, 12)
    for one in dead:
        one.consumer.claim([queue], 1)
    worker.consumer.claim([queue], 1)
    renewed: list[float] = []

    def at(script: str, when: str) -> None:
        if when == "before" and script == "reap":
            clock.advance(0.8)
        elif when == "before" and script == "renew":
            renewed.append(clock.monotonic_s())

    worker.store.at = at
    live(clock, 20, worker)
    gaps = [later - earlier for earlier, later in pairwise(renewed)]
    assert max(gaps) < SETTINGS.lease_s / 2
    assert worker.store.stats(queue).ready[0] == 12


def test_the_thread_outlives_what_nobody_foresaw(
    redis_server: RedisServer, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = DeliverySettings(lease_s=1.5, renew_every_s=0.3, reap_every_s=0.2)
    stores = [Store(connect(redis_server.url), layout=Layout(), settings=settings) for _ in range(2)]
    consumer = Consumer(stores[0], Process("w").describe)
    lease = Lease(consumer, stores[1], settings)
    lease.open_channel()
    stores[0].publish(Outgoing(queue=queue, payload=b"{}", message_id="m"))
    assert len(consumer.claim([queue], 1).deliveries) == 1
    client, leases = stores[0].client, stores[0].queue_keys(queue).key("consumers")
    client.rename(leases, f"{leases}:aside")
    client.set(leases, "not what it was")
    eventually(lambda: "cannot be renewed" in caplog.text, what="a renewal fails")
    client.rename(f"{leases}:aside", leases)
    ended_ms = client.zscore(leases, consumer.id)
    eventually(lambda: client.zscore(leases, consumer.id) > ended_ms, what="the lease is renewed again")
    lease.stop()


def test_a_lone_survivor_with_any_valid_setting_reaps() -> None:
    """A pause between two looks that looks like an absent broker would make it forgive for ever."""
    with pytest.raises(ValueError, match="reap_every_s"):
        Settings(delivery=DeliverySettings(lease_s=6, renew_every_s=2, reap_every_s=3))
    Settings(delivery=DeliverySettings(lease_s=6, renew_every_s=2, reap_every_s=1.2))


def test_a_broker_that_was_left_is_given_up_and_one_that_is_awaited_is_not(own_redis: RedisServer) -> None:
    clock = ManualClock()
    worker = Worker(own_redis, clock)
    put(worker, "q", 1)
    (delivery,) = worker.consumer.claim(["q"], 1).deliveries
    worker.lease.close_channel()
    own_redis.stop()
    clock.advance(10 * SETTINGS.lease_s + 1)
    worker.consumer.finish(delivery.id)
    with pytest.raises(BrokerGoneError):
        worker.lease.run_once()
    worker.lease.give_up_if_in_vain()
    assert worker.consumer.outbox, "its process waits for it"
    worker.has_moved = True
    worker.lease.give_up_if_in_vain()
    assert not worker.consumer.outbox
    assert not worker.lease.open_channel()


def test_a_lone_consumer_looks_seldom_and_still_in_time_for_whoever_joins_and_dies(
    redis_server: RedisServer, queue: str
) -> None:
    clock = ManualClock()
    alone = Worker(redis_server, clock)
    alone.consumer.claim([queue], 1)
    looks: list[str] = []
    alone.store.at = lambda name, moment: looks.append(name) if moment == "before" else None
    live(clock, 30, alone)
    assert 30 / 0.5 / 5 < looks.count("tick") <= 30 / (SETTINGS.lease_s / 5)
    newcomer = Worker(redis_server, clock)
    put(newcomer, queue, 2)
    assert len(newcomer.consumer.claim([queue], 2).deliveries) == 2
    live(clock, SETTINGS.lease_s + 1, alone)
    assert len(alone.consumer.claim([queue], 2).deliveries) == 2


def test_the_look_after_a_death_is_just_behind_the_end_of_the_lease(redis_server: RedisServer, queue: str) -> None:
    clock = ManualClock()
    looking, dead = Worker(redis_server, clock), Worker(redis_server, clock)
    put(looking, queue, 2)
    for worker in (dead, looking):
        worker.consumer.claim([queue], 1)
    # The first look of all trusts no lease: it extends them.
    looking.lease.run_once()
    live(clock, SETTINGS.lease_s - 1, looking)
    assert looking.lease._pause_s() >= SETTINGS.reap_every_s * 0.8, "nobody's lease is about to end"
    clock.advance(0.8)
    looking.lease.run_once()
    pause_s = looking.lease._pause_s()
    assert 0.2 < pause_s <= 0.2 + BEHIND_END_S[1]
    clock.advance(pause_s)
    looking.lease.run_once()
    assert len(looking.consumer.claim([queue], 1).deliveries) == 1
    assert looking.lease._pause_s() >= SETTINGS.reap_every_s * 0.8
