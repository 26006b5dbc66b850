"""Retry strategies in real workers: the wait is on the broker, and what happens is what the strategy says."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hive import Hive, SystemClock
from hive.deadletter import DeadLetters
from tests.support.eventually import eventually
from tests.support.listening import listening
from tests.support.redis_server import RedisServer
from tests.support.retry_app import ThrottledError, build

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


class Worker:
    """A worker of one pool, and the application as its caller sees it."""

    def __init__(self, server: RedisServer, pool: str, queue: str) -> None:
        self.app: Hive = build(server.url, queue)
        self.client: Any = server.client()
        self.queue = queue
        self.log = server.directory / f"{queue}.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"}
        command = [sys.executable, "-m", "tests.support.retry_app", server.url, queue, pool]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def ready(self) -> bool:
        return bool(self.app.control.ping([f"{self.queue}@retries"], timeout=0.5))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    def call(self, name: str, *args: Any) -> Any:
        return self.app.tasks[name].delay(*args)

    def attempts(self, result: Any) -> list[tuple[float, int]]:
        return [tuple(json.loads(line)) for line in self.client.lrange(f"{self.queue}:{result.id}", 0, -1)]


@pytest.fixture(scope="module", params=["prefork", "hive.pools:AsyncioPool"], ids=["prefork", "asyncio"])
def worker(server: RedisServer, request: pytest.FixtureRequest) -> Iterator[Worker]:
    worker = Worker(server, request.param, f"retries-{request.param[:4]}")
    try:
        eventually(worker.ready, what="worker")
        yield worker
    finally:
        worker.close()


@pytest.mark.parametrize("kind", ["", "_async"], ids=["plain", "coroutine"])
def test_the_cause_decides_whether_a_task_is_tried_again(worker: Worker, kind: str) -> None:
    network = worker.call(f"quick{kind}", "network", 2)
    exhausted = worker.call(f"quick{kind}", "network", 9)
    refused = worker.call(f"quick{kind}", "validation", 1)

    assert network.get(timeout=60) == "done after 2"
    with pytest.raises(ConnectionResetError):
        exhausted.get(timeout=60)
    assert len(worker.attempts(exhausted)) == 3
    assert "no retry, cause network: 2 retries are used up" in exhausted.traceback
    with pytest.raises(ValueError):
        refused.get(timeout=60)
    assert len(worker.attempts(refused)) == 1
    assert "no retry, cause validation" in refused.traceback


@pytest.mark.parametrize("kind", ["", "_async"], ids=["plain", "coroutine"])
def test_what_the_other_side_asks_for_is_waited(worker: Worker, kind: str) -> None:
    slow, throttled = worker.call(f"slow{kind}", "network", 2), worker.call(f"slow{kind}", "throttled", 1)

    assert slow.get(timeout=60) == "done after 2"
    (first, _), (second, _), (third, _) = worker.attempts(slow)
    assert second - first >= 0.39
    assert third - second >= 0.79
    assert throttled.get(timeout=60) == "done after 1"
    (first, _), (second, _) = worker.attempts(throttled)
    assert second - first >= ThrottledError.retry_after - 0.01


@pytest.mark.parametrize("kind", ["", "_async"], ids=["plain", "coroutine"])
def test_poison_and_kept_failures_are_dead_letters_with_their_cause(worker: Worker, kind: str) -> None:
    exhausted, poison = worker.call(f"kept{kind}", "bug", 9), worker.call(f"kept{kind}", "stock", 9)

    with pytest.raises(KeyError):
        exhausted.get(timeout=60)
    with pytest.raises(Exception, match="stock"):
        poison.get(timeout=60)
    assert len(worker.attempts(poison)) == 1
    letters = DeadLetters(worker.app.access.store, [worker.queue])
    # The failure is told first.
    eventually(lambda: {exhausted.id, poison.id} <= {letter.task_id for letter in letters.find()})
    found = {letter.task_id: letter.stored for letter in letters.find()}
    assert found[exhausted.id].reason == "retries_exhausted"
    assert found[exhausted.id].cause.startswith("bug: KeyError")
    assert found[poison.id].reason == "poison"


def test_adaptive_stores_what_became_of_its_retries_for_the_fleet(worker: Worker) -> None:
    worker.client.delete(*worker.client.keys("{hive:retry:learning*") or ["none"])
    results = [worker.call("learning", "network", times) for times in (1, 9)]

    assert results[0].get(timeout=60) == "done after 1"
    with pytest.raises(ConnectionResetError):
        results[1].get(timeout=60)

    def counted() -> tuple[float, float]:
        counts = worker.app.access.store.retry_outcomes("learning", "network")
        done = sum(count for name, count in counts.items() if name.endswith(":done"))
        return done, sum(counts.values()) - done

    eventually(lambda: counted() == (1, 3), what="outcomes")


def test_retries_keep_to_the_budget_of_their_dependency(worker: Worker) -> None:
    began = SystemClock().wall_ms() / 1000
    results = [worker.call("budgeted", "network", 1) for _ in range(8)]

    assert {result.get(timeout=60) for result in results} == {"done after 1"}
    retried = sorted(at - began for result in results for at, retries in worker.attempts(result) if retries)
    # One is saved up, two a second are earned.
    for place, at_s in enumerate(retried):
        assert at_s >= (place - 1) / 2 - 0.1


def test_failures_of_a_dependency_wait_together_and_go_on_at_their_pace(worker: Worker) -> None:
    worker.client.delete(f"{worker.queue}:up", f"{worker.queue}:calls")
    results = [worker.call("calls") for _ in range(40)]
    store = worker.app.access.store
    stock = f"stock-{worker.queue}"
    eventually(lambda: store.held_retries(stock) == 39, what="held")

    def calls() -> list[tuple[float, str]]:
        return [tuple(json.loads(line)) for line in worker.client.lrange(f"{worker.queue}:calls", 0, -1)]

    eventually(lambda: len(calls()) >= 43, what="probes")
    tried = Counter(id_ for _, id_ in calls())
    assert sum(count > 1 for count in tried.values()) == 1, "one of them probes"
    worker.client.set(f"{worker.queue}:up", 1)
    for result in results:
        result.get(timeout=60)

    done = sorted({id_: at for at, id_ in calls()}.values())
    assert store.held_retries(stock) == 0
    assert 1 < done[-1] - done[0] < 30, "20 a second were to be released"


def test_every_failure_is_told_with_its_cause_and_the_grounds_of_what_follows(worker: Worker) -> None:
    with listening(worker.app, "hive-failure") as events:
        result = worker.call("quick", "network", 9)
        eventually(lambda: sum(event["uuid"] == result.id for event in events) == 3, what="events")
    mine = [event for event in events if event["uuid"] == result.id]
    assert [(event["cause"], event["retries"]) for event in mine] == [("network", n) for n in range(3)]
    assert mine[0]["delay_s"] <= 0.1
    assert mine[0]["why"] == "network: immediate, retry 1"
    assert mine[2]["delay_s"] is None


def test_celerys_own_retries_come_first(worker: Worker) -> None:
    with pytest.raises(KeyError, match="1"):
        worker.call("by_hand").get(timeout=60)
    with pytest.raises(KeyError, match="1"):
        worker.call("autoretried").get(timeout=60)
