"""Tasks that begin while the record of their start is under way, against a real broker."""

import uuid
from typing import Any

import pytest

from hive.settings.parts import DeliverySettings
from hive.store.connection import connect
from hive.store.faults import BrokerGoneError
from hive.store.keys import Layout
from hive.store.store import Store
from hive.store.values import DeliveryId, Outcome, Outgoing, Start
from hive.testing.clock import ManualClock
from hive.testing.proxy import FaultProxy
from hive.transport.consumer import Consumer
from hive.transport.lease import Lease
from hive.transport.process import Process
from tests.support.redis_server import RedisServer

SETTINGS = DeliverySettings()


class Worker:
    """A consumer with one task, whose steps and beginnings are noted in their order."""

    def __init__(self, url: str, clock: ManualClock) -> None:
        self.seen: list[Any] = []
        client = connect(url, timeout_s=0.3)
        self.store = Store(
            client, layout=Layout(), settings=SETTINGS, now_ms=clock.wall_ms, at=lambda *step: self.seen.append(step)
        )
        self.consumer = Consumer(self.store, Process("w", clock).describe)
        self.consumer.begins_early = True
        self.consumer.on_started = self._begin
        self.lost: list[DeliveryId] = []
        self.consumer.on_lost = self.lost.extend
        self.lease = Lease(self.consumer, self.store, SETTINGS, clock=clock)
        self.consumer.has_fresh_lease = lambda: self.lease.is_fresh
        self.due: list[Start] = []
        self.consumer.starts_due = self._due

    def take(self, queue: str) -> DeliveryId:
        """Claim a message whose task is to begin in the next turn, under a lease that was just renewed."""
        (delivery,) = self.consumer.claim([queue], 1).deliveries
        self.lease.run_once()
        self.due = [Start(id=delivery.id, message_id="m")]
        self.seen.clear()
        return delivery.id

    def _due(self) -> list[Start]:
        due, self.due = self.due, []
        return due

    def _begin(self, outcomes: dict[DeliveryId, Outcome]) -> None:
        self.seen.extend("begun" for outcome in outcomes.values() if outcome is Outcome.DONE)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue() -> str:
    return f"q-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def worker(redis_server: RedisServer, clock: ManualClock, queue: str) -> Worker:
    worker = Worker(redis_server.url, clock)
    worker.store.publish(Outgoing(queue=queue, payload=b"{}", message_id="m"))
    return worker


def started(server: RedisServer, queue: str) -> int:
    return sum(server.client().hlen(key) for key in server.client().keys(f"{{{queue}}}:hive:started:*"))


def test_a_task_begins_once_its_start_is_on_the_way(redis_server: RedisServer, worker: Worker, queue: str) -> None:
    taken = worker.take(queue)
    worker.consumer.settle()
    assert worker.seen == [("start", "before"), "begun", ("start", "after")]
    assert started(redis_server, queue) == 1
    assert worker.consumer.hand_back([taken]) == []


def test_after_a_pause_the_broker_is_asked_first(worker: Worker, clock: ManualClock, queue: str) -> None:
    worker.take(queue)
    clock.advance(SETTINGS.lease_s / 2)
    worker.consumer.settle()
    assert worker.seen == [("start", "before"), ("start", "after"), "begun"]


def test_a_task_that_died_before_is_told_so_before_it_begins(worker: Worker, clock: ManualClock, queue: str) -> None:
    dead = worker.take(queue)
    worker.consumer.settle()
    worker.consumer.died(dead, "its child was lost")
    worker.consumer.settle()
    again = worker.take(queue)
    worker.consumer.settle()
    assert worker.seen == [("start", "before"), ("start", "after"), "begun"]
    assert worker.consumer.is_redelivered(again)


def test_a_task_that_began_and_is_another_worker_s_by_then_is_told_as_lost(
    redis_server: RedisServer, worker: Worker, clock: ManualClock, queue: str
) -> None:
    taken = worker.take(queue)
    # What a lease that looks fresh cannot know: the broker has given all of it away.
    redis_server.client().zrem(f"{{{queue}}}:hive:consumers", worker.consumer.id)
    worker.consumer.settle()
    assert worker.seen == [("start", "before"), "begun", ("start", "after")]
    assert worker.lost == [taken]
    assert not worker.consumer.holds(taken)
    assert worker.consumer.refused_count == 1


def test_a_start_that_did_not_arrive_is_recorded_later_and_begins_nothing_twice(
    redis_server: RedisServer, clock: ManualClock, queue: str
) -> None:
    with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        worker = Worker(f"redis://127.0.0.1:{proxy.port}/0", clock)
        worker.store.publish(Outgoing(queue=queue, payload=b"{}", message_id="m"))
        taken = worker.take(queue)
        proxy.black_hole()
        with pytest.raises(BrokerGoneError):
            worker.consumer.settle()
        assert worker.seen == [("start", "before"), "begun"]
        proxy.reset()
        proxy.heal()
        assert started(redis_server, queue) == 0
        # It runs, so it does not go back.
        assert worker.consumer.hand_back([taken]) == []
        worker.consumer.settle()
    assert started(redis_server, queue) == 1
    assert worker.seen.count("begun") == 1
