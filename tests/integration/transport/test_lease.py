"""The lease thread's work, one look at a time, against a real broker."""

import json
import uuid

import pytest

from hive.settings.parts import DeliverySettings
from hive.store.connection import connect
from hive.store.keys import Layout
from hive.store.store import Store
from hive.store.values import Outgoing, Start
from hive.testing.clock import ManualClock
from hive.transport.consumer import Consumer
from hive.transport.lease import ADOPT_EVERY_S, Lease, StockRecords
from hive.transport.process import Process
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
        self.lease = Lease(self.consumer, self.store, SETTINGS, clock=clock, adopting=stock)
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
