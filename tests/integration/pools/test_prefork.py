"""The prefork pool with a real worker: messages of every size reach a child whole, and its reports come back whole."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from hive import Hive
from hive.errors import DeadLetteredError
from hive.pools.prefork import PIPE_BUFFER_BYTES, has_process_descriptors
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess, traces

pytestmark = pytest.mark.slow

SENT_BUT_NOT_SAID = """
import os, signal
from kombu.asynchronous import Hub, set_event_loop
from hive.pools.prefork import AsynPool

hub = Hub()
set_event_loop(hub)
pool = AsynPool(processes=1, synack=False, threads=False)
pool.register_with_event_loop(hub)
(child,) = pool._pool
ended = []


def give_up():
    os.kill(child.pid, signal.SIGKILL)
    os._exit(1)


def turn_until(condition):
    while not condition():
        next(hub.loop)


hub.call_repeatedly(0.05, lambda: None)
hub.call_later(30, give_up)


# A child that stands still has been sent the job and cannot say that it has begun.
turn_until(lambda: pool._fileno_to_inq)
os.kill(child.pid, signal.SIGSTOP)
job = pool.apply_async(pow, (7, 2), callback=ended.append)
turn_until(lambda: job._write_to is not None and not pool._active_writers)
assert not job._accepted
pool.flush()
os.kill(child.pid, signal.SIGCONT)
turn_until(lambda: ended)
print(ended, job._accepted, flush=True)
os.kill(child.pid, signal.SIGKILL)
os._exit(0)
"""


@pytest.fixture
def app(own_redis: RedisServer) -> Iterator[Any]:
    app = Hive("caller", broker=own_redis.url, backend=own_redis.url)
    yield app
    app.close()


def test_small_and_large_tasks_arrive_whole_and_run_once_each_on_all_children(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, pool="prefork", concurrency=3).ready() as worker:
        # Less than a pipe takes at once, about that much, more than a pipe holds at all.
        sizes = [10, PIPE_BUFFER_BYTES - 1_500, PIPE_BUFFER_BYTES, 300_000] * 15
        results = [
            app.send_task("tests.support.delivery_app.echo", (f"{place}:" + "x" * size,))
            for place, size in enumerate(sizes)
        ]
        values = [result.get(timeout=60) for result in results]
        assert values == [f"{place}:" + "x" * size for place, size in enumerate(sizes)]
        totals = app.control.inspect(timeout=30, limit=1).stats()
        (found,) = totals.values()
        assert found["pool"]["implementation"].startswith("hive.pools.prefork")
        assert found["total"] == {"tests.support.delivery_app.echo": len(sizes)}
        assert len(psutil.Process(worker.process.pid).children()) == 3


def test_children_that_are_killed_again_and_again_keep_nobody_else_from_ending(
    app: Any, own_redis: RedisServer
) -> None:
    with WorkerProcess(own_redis, pool="prefork", concurrency=2).ready():
        deadly = [app.send_task("tests.support.delivery_app.kill_process") for _ in range(2)]
        others = [app.send_task("tests.support.delivery_app.add", (n, 1)) for n in range(100)]
        assert [result.get(timeout=60) for result in others] == [n + 1 for n in range(100)]
        for result in deadly:
            with pytest.raises(DeadLetteredError):
                result.get(timeout=60)
    assert sorted(Counter(traces(own_redis)).values()) == [1] * 100 + [3, 3]


@pytest.mark.skipif(not has_process_descriptors(), reason="this system gives no descriptors of processes")
def test_the_end_of_a_child_is_seen_though_what_it_forked_lives_on(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, pool="prefork", concurrency=1).ready():
        result = app.send_task("tests.support.delivery_app.die_beside_a_helper")
        # The helper ends after a minute, and nobody looks before that.
        assert result.get(timeout=40) == "redelivered"


def test_what_a_child_was_sent_is_finished_though_the_pool_is_flushed_before_it_says_that_it_began() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SENT_BUT_NOT_SAID], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "[49] True\n", done.stderr
