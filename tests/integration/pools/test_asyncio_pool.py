"""A worker with the asyncio pool: limits, interruptions, the watch, slots, stopping; and coroutines in other pools."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from tests.support.eventually import eventually
from tests.support.pool_app import build
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
ASYNCIO = "hive.pools:AsyncioPool"


class Worker:
    """A worker process, its application as a caller sees it, and what its tasks noted."""

    def __init__(self, server: RedisServer, directory: Path, pool: str = ASYNCIO, slots: int = 20, grace_s: float = 30):
        self.queue = f"pool-{uuid.uuid4().hex}"
        self.client = server.client(decode_responses=True)
        self.app = build(server.url, self.queue)
        self.log = directory / f"{self.queue}.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"}
        command = [
            sys.executable,
            "-m",
            "tests.support.pool_app",
            server.url,
            self.queue,
            pool,
            str(slots),
            str(grace_s),
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        eventually(self.ping, what="worker")

    def __getattr__(self, name: str) -> Any:
        return self.app.tasks[name]

    def ping(self) -> bool:
        return bool(self.app.control.ping([f"{self.queue}@pool"], timeout=1))

    def notes(self, word: str, result: AsyncResult | None = None) -> list[list[Any]]:
        found = [json.loads(line) for line in self.client.lrange(f"{self.queue}:notes", 0, -1)]
        return [note for note in found if note[1] == word and (result is None or note[2] == result.id)]

    def noted(self, word: str, result: AsyncResult, timeout_s: float = 60) -> float:
        """Wait for a note and return when it was made, in monotonic seconds."""
        return float(eventually(lambda: self.notes(word, result), timeout_s, what=f"{word} {result.id}")[0][0])

    def pool(self) -> dict[str, Any]:
        stats = self.app.control.inspect([f"{self.queue}@pool"], timeout=10).stats()
        return dict(stats[f"{self.queue}@pool"]["pool"]) if stats else {}

    def close(self) -> None:
        self.process.kill()
        self.process.wait(60)


@pytest.fixture(scope="module")
def worker(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(redis_server, tmp_path_factory.mktemp("pool"))
    yield worker
    worker.close()


@pytest.fixture
def start(redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    started: list[Worker] = []

    def start_one(**options: Any) -> Worker:
        started.append(Worker(redis_server, tmp_path, **options))
        return started[-1]

    yield start_one
    for one in started:
        one.close()


def test_limits_and_revokes_reach_a_coroutine_within_a_tenth_of_a_second(worker: Worker) -> None:
    def late_s(word: str, **limits: float) -> float:
        result = worker.nap.apply_async((30,), **limits)
        began = worker.noted("began", result)
        return worker.noted(word, result) - began - next(iter(limits.values()))

    def revoke_s() -> float:
        result = worker.nap.delay(30)
        worker.noted("began", result)
        asked = time.monotonic()
        worker.app.control.revoke(result.id, terminate=True)
        return worker.noted("cancelled", result) - asked

    def least(measure: Callable[[], float]) -> float:
        """The machine may be busy: what counts is the least that the pool adds."""
        return next((seen for _ in range(9) if (seen := measure()) < 0.1), 1.0)

    assert least(lambda: late_s("soft", soft_time_limit=0.3)) < 0.1
    assert least(lambda: late_s("cancelled", time_limit=0.3)) < 0.1
    assert least(revoke_s) < 0.1


def test_a_soft_limit_ends_the_children_of_a_task_and_is_raised_in_it(worker: Worker) -> None:
    result = worker.family.apply_async((30,), soft_time_limit=0.2)
    assert result.get(timeout=60) == "family told"
    assert len(worker.notes("child cancelled", result)) == 2


def test_tasks_keep_their_own_context_and_current_task(worker: Worker) -> None:
    results = [worker.keep.delay(str(number)) for number in range(10)]
    assert [result.get(timeout=60) for result in results] == [["nothing", *[str(n)] * 3] for n in range(10)]


def test_plain_functions_run_beside_coroutines_on_threads(worker: Worker) -> None:
    plain = [worker.plain_nap.delay(0.5) for _ in range(5)]
    quick = worker.tell.delay()
    assert quick.get(timeout=60)["lifespan"]
    assert {result.get(timeout=60).rsplit("-", 1)[0] for result in plain} == {"hive-function"}


def test_limits_that_a_plain_function_has_in_vain_are_said_once(worker: Worker) -> None:
    limited = [worker.plain_nap.apply_async((0.1,), soft_time_limit=0.05) for _ in range(3)]
    assert {result.get(timeout=60).rsplit("-", 1)[0] for result in limited} == {"hive-function"}
    worker.tell.apply_async(soft_time_limit=10).get(timeout=60)
    told = [line for line in worker.log.read_text().splitlines() if "has time limits" in line]
    assert len(told) == 1
    assert "task plain_nap has time limits, which the asyncio pool cannot keep" in told[0]


def test_a_task_that_blocks_the_loop_is_named_while_the_worker_goes_on(worker: Worker) -> None:
    before = worker.pool()["blocked"]
    # Longer than the lease: it is renewed meanwhile.
    result = worker.compute.delay(6.0)
    worker.noted("began", result)
    assert worker.ping()
    blocked = eventually(lambda: worker.pool().get("blocked", 0) - before)
    assert result.state != "SUCCESS"
    log = worker.log.read_text()
    assert f"task compute[{result.id}] has blocked the event loop" in log
    assert "in compute" in log.split(result.id)[1]
    assert result.get(timeout=60) == "computed"
    assert len(worker.notes("began", result)) == blocked == 1


def test_a_hard_limit_counts_while_a_task_blocks_the_loop(worker: Worker) -> None:
    result = worker.compute.apply_async((5.0,), time_limit=0.5)
    began = worker.noted("began", result)
    with pytest.raises(Exception, match="TimeLimitExceeded"):
        result.get(timeout=60)
    assert time.monotonic() - began < 5
    # What it returns in the end changes nothing, and the loop turns again.
    assert worker.tell.delay().get(timeout=60)["lifespan"]
    assert result.state == "FAILURE"


def test_slots_come_and_go_at_once(start: Callable[..., Worker]) -> None:
    worker = start(slots=1)
    first, second, third = (worker.nap.delay(4) for _ in range(3))
    worker.noted("began", first)
    assert not worker.notes("began", second)
    worker.app.control.pool_grow(2)
    assert worker.noted("began", third) - worker.noted("began", first) < 4
    worker.app.control.pool_shrink(2)
    assert eventually(lambda: worker.pool().get("max-concurrency") == 1)
    fourth, fifth = worker.nap.delay(0.3), worker.nap.delay(0.3)
    assert worker.noted("began", fifth) >= worker.noted("ended", fourth)


def test_a_stop_drains_within_the_grace_period_and_hands_back_the_rest(start: Callable[..., Worker]) -> None:
    worker = start(slots=3, grace_s=4)
    short, long, plain = worker.nap.delay(1.0), worker.nap.delay(60), worker.plain_nap.delay(60)
    waiting = [worker.nap.delay(0) for _ in range(4)]
    for result in (short, long, plain):
        worker.noted("began", result)
    worker.process.send_signal(signal.SIGTERM)
    stopped = time.monotonic()
    assert worker.process.wait(60) == 0
    assert time.monotonic() - stopped < 40
    assert worker.notes("ended", short)
    assert worker.notes("cancelled", long)
    assert not any(worker.notes("began", result) for result in waiting)
    assert worker.client.llen(worker.queue) == 2 + len(waiting)
    assert len(worker.notes("closed")) == 1


def test_a_coroutine_that_swallows_its_cancellation_is_named_and_its_process_replaced(
    start: Callable[..., Worker],
) -> None:
    worker = start(slots=2)
    stuck = worker.swallow.apply_async(time_limit=0.2)
    with pytest.raises(Exception, match="TimeLimitExceeded"):
        stuck.get(timeout=60)
    eventually(lambda: len(worker.notes("opened")) == 2, what="a second process")
    log = worker.log.read_text()
    assert f"task swallow[{stuck.id}] did not end" in log
    assert f"task swallow[{stuck.id}] cannot be ended" in log
    assert worker.tell.delay().get(timeout=60)["lifespan"]
    assert len(worker.notes("began", stuck)) == 1


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_coroutine_runs_in_every_other_pool_on_one_kept_loop(start: Callable[..., Worker], pool: str) -> None:
    worker = start(pool=pool, slots=2)
    told = [worker.tell.delay().get(timeout=60) for _ in range(6)]
    assert all(one["lifespan"] for one in told)
    loops = {(one["pid"], one["loop"]) for one in told}
    assert len(loops) == len({one["pid"] for one in told})
    kept = [worker.keep.delay(str(number)) for number in range(3)]
    assert [result.get(timeout=60)[1:] for result in kept] == [[str(n)] * 3 for n in range(3)]
    if pool == "prefork":
        limited = worker.family.apply_async((30,), soft_time_limit=0.5)
        assert limited.get(timeout=60) == "family told"
