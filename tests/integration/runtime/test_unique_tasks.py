"""Unique tasks and bounded queues as callers and tasks see them, with a worker of this process."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, group
from celery.contrib.testing.worker import start_worker

from hive import Hive, InputError, QueueFull, Unique
from hive.errors import BrokerRefusedError, DeadLetteredError
from hive.settings.load import load_settings
from hive.store.faults import BatchPublishError
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


class Log:
    """What the tasks saw, and what lets them end."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.gate = threading.Event()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def app(redis_server: RedisServer, log: Log, tmp_path: Path) -> Iterator[Hive]:
    queue = f"unique-{uuid.uuid4().hex}"
    bounds = {
        "raises": {"max_length": 2},
        "waits": {"max_length": 2, "when_full": "wait", "wait_s": 60},
        "sheds": {"max_length": 2, "when_full": "shed"},
    }
    settings = load_settings(
        backpressure={"queues": bounds},
        dead={"watch_every_s": 0.1},
        broker={"key_prefix": f"{queue}:"},
        home=tmp_path,
    )
    url = redis_server.url
    app = Hive(queue, broker=url, backend=url, set_as_current=False, settings=settings)
    app.conf.update(task_queues=None, task_default_queue=queue)
    declare(app, log)
    yield app
    log.gate.set()
    app.close()


def declare(app: Hive, log: Log) -> None:
    @app.task(name="done", shared=False, bind=True, unique=Unique(within_s=60))
    def done(self, number, text="same"):
        log.keys.append(self.request.idempotency_key)
        log.gate.wait(60)
        return number

    @app.task(name="timed", shared=False, unique=Unique(within_s=60, key=lambda number: number % 2, until="time"))
    def timed(number):
        return number

    @app.task(name="plain", shared=False, bind=True, max_retries=3)
    def plain(self, number, times=0):
        log.keys.append((self.idempotency_key, self.request.idempotency_key, self.request.retries))
        if self.request.retries < times:
            raise self.retry(countdown=0.3)
        return number


@pytest.fixture
def work(app: Hive) -> Callable[..., Any]:
    """Start a worker of the given queues, or of the application's own."""

    def start(*queues: str) -> Any:
        for queue in queues:
            app.amqp.queues.select_add(queue)
        return start_worker(app, pool="threads", concurrency=4, perform_ping_check=False, queues=list(queues) or None)

    return start


def waiting(app: Hive, queue: str | None = None) -> int:
    stats = app.access.store.stats(queue or app.conf.task_default_queue)
    return sum(stats.ready.values()) + stats.scheduled


def test_every_way_of_calling_is_handed_the_first_result(app: Hive, work: Any, log: Log) -> None:
    done = app.tasks["done"]
    first = done.delay(1)
    others = [
        done.delay(1),
        done.delay(number=1, text="same"),
        done.apply_async((1,), countdown=60),
        done.s(1).delay(),
        asyncio.run(done.adelay(1)),
        app.send_task("done", (1,)),
    ]
    with app.batch():
        batched = [done.delay(2), done.delay(1), done.delay(2)]
    assert {other.id for other in others} == {first.id}
    assert [result.id for result in batched] == [batched[0].id, first.id, batched[0].id]
    assert batched[0].id != first.id
    assert done.delay(1, text="other").id != first.id
    assert waiting(app) == 3
    log.gate.set()
    with work():
        assert [result.get(timeout=60) for result in (*others, *batched)] == [1] * 6 + [2, 1, 2]
        assert log.keys.count(first.id) == 1
        eventually(lambda: done.delay(1).id != first.id, what="the key to be free again")


def test_a_caller_names_its_key_and_the_task_sees_it(app: Hive, work: Any, log: Log) -> None:
    plain = app.tasks["plain"]
    mine = plain.apply_async((1, 2), idempotency_key="order-7")
    assert plain.apply_async((2,), idempotency_key="order-7").id == mine.id
    assert app.send_task("plain", (3,), idempotency_key="order-7").id == mine.id
    assert app.send_task("done", (3,), idempotency_key="order-7").id != mine.id, "another task"
    nobodys = plain.delay(5, 1)
    with work():
        assert (mine.get(timeout=60), nobodys.get(timeout=60)) == (1, 5)
        log.gate.set()
    attempts = [("order-7", "order-7", retries) for retries in range(3)]
    assert [seen for seen in log.keys if seen in attempts] == attempts
    assert [seen for seen in log.keys if nobodys.id in seen] == [(nobodys.id, nobodys.id, n) for n in range(2)]
    assert plain.apply_async((9,), idempotency_key="order-7").get(timeout=60) == 1, "its time is not over"


def test_a_key_is_made_by_a_function_and_arguments_that_are_none_say_so(app: Hive) -> None:
    timed = app.tasks["timed"]
    assert timed.delay(1).id == timed.delay(3).id != timed.delay(4).id
    with pytest.raises(InputError, match=r"Unique\(key"):
        app.tasks["done"].delay(object())
    with pytest.raises(InputError, match="at most"):
        Unique(within_s=1e9)
    with pytest.raises(BrokerRefusedError), app.connection_for_write("memory://") as foreign:
        timed.apply_async((5,), connection=foreign)


def test_what_somebody_waits_for_under_its_own_id_is_always_published(app: Hive, work: Any, log: Log) -> None:
    done = app.tasks["done"]
    first = done.delay(1)
    assert done.apply_async((1,), task_id="mine").id == "mine"
    members = group(done.s(1), done.s(1)).apply_async()
    steps = chain(done.s(1), app.tasks["plain"].si(4)).apply_async()
    log.gate.set()
    with work():
        assert (members.get(timeout=60), steps.get(timeout=60), first.get(timeout=60)) == ([1, 1], 4, 1)


def test_a_revoked_call_gives_its_key_back(app: Hive, work: Any, log: Log) -> None:
    done = app.tasks["done"]
    scheduled = done.apply_async((1,), countdown=60)
    app.control.revoke(scheduled.id)
    ready = done.delay(1)
    assert ready.id != scheduled.id
    log.gate.set()
    with work():
        ready.get(timeout=60)
        log.gate.clear()
        expiring = done.apply_async((7,), expires=-1)
        assert expiring.get(timeout=60, propagate=False) is not None
        eventually(lambda: done.delay(7).id != expiring.id, what="the key to be free again")


def test_a_full_queue_raises_and_what_was_accepted_goes_on(app: Hive, work: Any) -> None:
    plain = app.tasks["plain"]
    results = [plain.apply_async((n,), queue="raises") for n in range(2)]
    with pytest.raises(QueueFull) as refused:
        plain.apply_async((2,), queue="raises")
    assert (refused.value.queue, refused.value.length, refused.value.bound) == ("raises", 2, 2)
    with pytest.raises(BatchPublishError), app.batch():
        plain.apply_async((2,), queue="raises")
    with pytest.raises(QueueFull):
        asyncio.run(plain.aapply_async((2,), queue="raises"))
    with work("raises"):
        assert [result.get(timeout=60) for result in results] == [0, 1]
        steps = chain(plain.si(n, 1).set(queue="raises") for n in range(5))
        assert steps.apply_async().get(timeout=60) == 4


def test_callers_wait_for_room_and_a_loop_goes_on_meanwhile(app: Hive, work: Any) -> None:
    plain = app.tasks["plain"]
    for number in range(2):
        plain.apply_async((number,), queue="waits")

    async def call() -> tuple[int, Any]:
        turns = 0
        calls = [asyncio.ensure_future(plain.aapply_async((n,), queue="waits")) for n in range(2, 14)]
        while turns < 20:
            await asyncio.sleep(0.01)
            turns += 1
        assert not any(call.done() for call in calls), "there was no room"
        with work("waits"):
            results = await asyncio.wait_for(asyncio.gather(*calls), 60)
            return len(results), [await result.aget(timeout=60) for result in results]

    assert asyncio.run(call()) == (12, list(range(2, 14)))
    blocked = [plain.apply_async((number,), queue="waits") for number in range(2)]
    late: list[Any] = []
    thread = threading.Thread(target=lambda: late.append(plain.apply_async((2,), queue="waits")))
    thread.start()
    thread.join(0.1)
    assert not late
    with work("waits"):
        thread.join(60)
        assert [result.get(timeout=60) for result in (*blocked, *late)] == [0, 1, 2]


def test_what_is_shed_says_so_in_its_result(app: Hive, work: Any) -> None:
    plain = app.tasks["plain"]
    low = [plain.apply_async((n,), queue="sheds", priority=9) for n in range(2)]
    high = [plain.apply_async((n,), queue="sheds", priority=0) for n in range(3)]
    assert waiting(app, "sheds") == 2
    with work("sheds"):
        assert [result.get(timeout=60) for result in high[:2]] == [0, 1]
        for result in (*low, high[2]):
            with pytest.raises(DeadLetteredError) as shed:
                result.get(timeout=60)
            assert shed.value.reason == "shed"
