"""Coroutines call tasks and wait for them: on a real broker, with a worker of this process."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import chord, group
from celery.contrib.testing.worker import start_worker
from celery.exceptions import TimeoutError as ResultTimeoutError

from hive import Hive
from tests.support.redis_server import RedisServer


@pytest.fixture
def app(own_redis: RedisServer) -> Iterator[Hive]:
    name = f"awaiting-{uuid.uuid4().hex}"
    app = Hive(name, broker=own_redis.url, backend=own_redis.url, set_as_current=False)
    app.conf.update(task_queues=None, task_default_queue=name)

    @app.task(name="add", shared=False)
    async def add(x, y):
        await asyncio.sleep(0.01)
        return x + y

    @app.task(name="fail", shared=False)
    async def fail():
        raise ValueError("no")

    @app.task(name="nest", shared=False)
    async def nest(depth):
        if depth == 0:
            return [threading.active_count()]
        children = [await app.tasks["nest"].adelay(depth - 1) for _ in range(2)]
        return [count for child in children for count in await child.aget(timeout=60)]

    @app.task(name="total", shared=False)
    async def total(numbers):
        return sum(numbers)

    yield app
    app.close()


@pytest.fixture
def worker(app: Hive) -> Iterator[None]:
    with start_worker(app, pool="hive.pools:AsyncioPool", concurrency=50, perform_ping_check=False):
        yield


@pytest.fixture
def run(app: Hive):
    """Run a coroutine and close what it opened."""

    def run_and_close(coroutine):
        async def closing():
            try:
                return await coroutine
            finally:
                await app.awaiting.close()

        return asyncio.run(closing())

    return run_and_close


@pytest.mark.usefixtures("worker")
def test_a_coroutine_gets_results_and_errors(app: Hive, run) -> None:
    async def call():
        result = await app.tasks["add"].adelay(1, 2)
        later = await app.tasks["add"].aapply_async((1, 1), countdown=0.2)
        with pytest.raises(ValueError, match="no"):
            await (await app.tasks["fail"].adelay()).aget(timeout=60)
        failed = await (await app.tasks["fail"].adelay()).aget(timeout=60, propagate=False)
        add = app.tasks["add"]
        summed = await app.acall(chord([add.s(i, i) for i in range(4)], app.tasks["total"].s()).apply_async)
        return await result, await later.aget(timeout=60), repr(failed), await summed.aget(timeout=10)

    assert run(call()) == (3, 2, "ValueError('no')", 12)


@pytest.mark.usefixtures("worker")
def test_a_group_is_read_as_its_tasks_end_and_in_order(app: Hive, run) -> None:
    async def call():
        signatures = [app.tasks["add"].s(i, 0) for i in range(20)] + [app.tasks["fail"].s()]
        results = await app.acall(group(signatures).apply_async)
        states = [(result.state, result.result) async for result in results]
        ordered = await app.acall(group(signatures[:20]).apply_async)
        return states, await ordered.aget(timeout=60)

    states, ordered = run(call())
    assert sorted(value for state, value in states if state == "SUCCESS") == list(range(20))
    assert [state for state, _ in states if state != "SUCCESS"] == ["FAILURE"]
    assert ordered == list(range(20))


@pytest.mark.usefixtures("worker")
def test_a_task_that_waits_for_its_subtasks_holds_no_thread(app: Hive, run) -> None:
    before = threading.active_count()

    async def call():
        return await (await app.tasks["nest"].adelay(4)).aget(timeout=60)

    counts = run(call())
    assert len(counts) == 16
    # 15 tasks wait while the leaves run: only the few threads of the network are there besides those before.
    assert max(counts) - before <= 20
    assert max(counts) < before + 15 + 8


def test_waiting_ends_in_time_and_leaves_nothing_behind(app: Hive, own_redis: RedisServer, run) -> None:
    async def call():
        result = await app.tasks["add"].adelay(1, 1)
        with pytest.raises(ResultTimeoutError, match=r"0\.2 s"):
            await result.aget(timeout=0.2)
        waits = [asyncio.ensure_future(app.AsyncResult(str(uuid.uuid4())).aget()) for _ in range(50)]
        await asyncio.sleep(0)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        return app.awaiting._watch(app.backend)._waiting

    assert run(call()) == {}


def test_a_result_stored_while_the_broker_was_away_is_found(app: Hive, own_redis: RedisServer, run) -> None:
    async def call():
        result = app.AsyncResult(str(uuid.uuid4()))
        waiting = asyncio.ensure_future(result.aget(timeout=60))
        while not app.awaiting._watch(app.backend)._waiting:
            await asyncio.sleep(0)
        await asyncio.to_thread(own_redis.restart)
        await asyncio.to_thread(_store, own_redis, app, result.id)
        return await waiting

    assert run(call()) == "late"


def _store(server: RedisServer, app: Hive, task_id: str) -> None:
    """Store a result without announcing it, as if the announcement had been missed."""
    meta = app.backend.encode(app.backend._get_result_meta("late", "SUCCESS", None, None) | {"task_id": task_id})
    with contextlib.closing(server.client()) as client:
        client.set(app.backend.get_key_for_task(task_id), meta)


def test_a_result_nobody_waits_for_any_more_says_nothing_at_the_end_of_the_process(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "left.py").write_text(f"from hive import Hive\napp = Hive('left', broker={redis_server.url!r})\n")
    program = (
        "from left import app\n"
        f"result = app.send_task('left.task', queue='left-{uuid.uuid4().hex}')\n"
        "try:\n    result.get(timeout=0.1)\nexcept Exception as error:\n    print(type(error).__name__)\n"
        # As when Python takes the connections apart before the result.
        "app.backend.client.connection_pool.disconnect()\n"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("TimeoutError\n", "", 0)
