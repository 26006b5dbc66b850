"""Steps of many threads in one round trip, against a real broker."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from hive.runtime.delivery.joint_steps import JointSteps
from hive.settings.parts import DeliverySettings
from hive.store import BrokerGoneError, Layout, Store, never_repeating
from hive.store.values import ConsumerInfo, DeliveryId, Outcome, Outgoing, StoredResult
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

COUNT = 6


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Store]:
    client = redis_server.client(retry=never_repeating(), socket_timeout=5)
    layout = Layout(prefix=f"{uuid.uuid4().hex[:8]}:")
    yield Store(client, layout=layout, settings=DeliverySettings())
    client.close()


@pytest.fixture
def held(store: Store) -> list[DeliveryId]:
    """Deliveries of the consumer `c`."""
    store.register("c", ["q"], ConsumerInfo(node="celery@test", pid=1, version="0", started_ms=0))
    for number in range(COUNT):
        store.publish(Outgoing(queue="q", payload=b"{}", message_id=str(number), dedup_id=str(number)))
    return [one.id for one in store.claim("c", ["q"], sequence=1, credit=COUNT).deliveries]


def writing(store: Store, delivery: DeliveryId, number: int, consumer: str = "c") -> Callable[[Store], Outcome]:
    result = StoredResult(key=f"{store.layout.prefix}result-{number}", value=str(number).encode(), ttl_ms=60_000)
    return lambda store: store.finish_with_result(consumer, delivery, result)


class Crowd:
    """Threads that present their steps while another's is under way."""

    def __init__(self, joint: JointSteps, store: Store) -> None:
        self._joint, self._store = joint, store
        self._go_on = threading.Event()
        self._threads = ThreadPoolExecutor(COUNT + 1)
        self._begun = threading.Event()

    def present(self, steps: list[Callable[[Store], Any]]) -> list[Future[Any]]:
        """Have all steps wait for one that is under way, then let that one end."""
        self._threads.submit(self._joint.run, self._store, self._hold)
        assert self._begun.wait(60)
        futures = [self._threads.submit(self._joint.run, self._store, step) for step in steps]
        eventually(lambda: len(self._joint._waiting) == len(steps))
        self._go_on.set()
        self._threads.shutdown(wait=True)
        return futures

    def _hold(self, _: Store) -> None:
        self._begun.set()
        assert self._go_on.wait(60)


def test_steps_that_come_meanwhile_go_together_and_each_has_its_own_outcome(
    store: Store, held: list[DeliveryId]
) -> None:
    seen: list[str] = []
    store.at = lambda name, when: seen.append(when)
    steps = [writing(store, one, number) for number, one in enumerate(held[:-1])]
    # The last lost its lease: its neighbours are not refused with it.
    steps.append(writing(store, held[-1], COUNT - 1, consumer="reaped"))
    futures = Crowd(JointSteps(), store).present(steps)
    assert [future.result() for future in futures] == [Outcome.DONE] * (COUNT - 1) + [Outcome.STALE]
    assert seen == ["before"] * COUNT + ["after"] * COUNT
    values = [store.client.get(f"{store.layout.prefix}result-{number}") for number in range(COUNT)]
    assert values == [b"0", b"1", b"2", b"3", b"4", None]


def test_steps_of_a_trip_that_fails_are_carried_out_one_by_one(store: Store, held: list[DeliveryId]) -> None:
    trips: list[str] = []

    def fail_once(name: str, when: str) -> None:
        trips.append(when)
        # The scripts have run, and the reply is lost.
        if trips.count("after") == 1 and when == "after":
            raise BrokerGoneError("reset")

    store.at = fail_once
    joint = JointSteps()
    futures = Crowd(joint, store).present([writing(store, one, n) for n, one in enumerate(held)])
    assert [future.result() for future in futures] == [Outcome.ALREADY] * COUNT
    assert all(store.client.exists(f"{store.layout.prefix}result-{number}") for number in range(COUNT))
    assert joint.run(store, lambda store: "goes on") == "goes on"


def test_an_error_of_one_s_own_is_one_s_own(store: Store, held: list[DeliveryId]) -> None:
    def gone(_: Store) -> None:
        raise BrokerGoneError("only mine")

    first, second, third = Crowd(JointSteps(), store).present(
        [writing(store, held[0], 0), gone, writing(store, held[1], 1)]
    )
    assert first.result() is Outcome.DONE
    assert third.result() is Outcome.DONE
    with pytest.raises(BrokerGoneError, match="only mine"):
        second.result()
