"""Tasks that use more than they may, in real prefork workers: bounded, named, neighbours unharmed. As root, too."""

import importlib
import json
import os
import subprocess
import sys
from typing import Any

import psutil
import pytest

from hive.resources.host import host_name
from tests.support.eventually import eventually
from tests.support.listening import listening
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

APP = "tests.support.resource_app"
BOUNDS = {"HIVE_WORKER_MEMORY_BOUND_MB": "250", "HIVE_WORKER_PROCESSES_BOUND": "30", "HIVE_WORKER_PREFETCH": "1"}


@pytest.fixture
def tasks(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application, on this test's broker; imported anew because it reads its address at import."""
    import tests.support.resource_app as module

    monkeypatch.setenv("DELIVERY_URL", own_redis.url)
    return importlib.reload(module)


def worker(server: RedisServer, concurrency: int = 2, **more: str) -> WorkerProcess:
    environment = {**BOUNDS, **more}
    return WorkerProcess(server, pool="prefork", concurrency=concurrency, app=APP, environment=environment)


def went_on(server: RedisServer, process: WorkerProcess, neighbour: Any) -> bool:
    """Whether the neighbour came to its end, begun once only, and the worker lives."""
    neighbour.get(timeout=60)
    return server.client().get("waits") == b"1" and process.process.poll() is None


def test_a_task_that_grows_gets_a_memory_error_and_its_neighbour_goes_on(own_redis: RedisServer, tasks: Any) -> None:
    with worker(own_redis).ready() as process:
        neighbour = tasks.wait.delay(2)
        with pytest.raises(MemoryError):
            tasks.grow.delay().get(timeout=60)
        assert went_on(own_redis, process, neighbour)
        process.until_logged("MemoryError")
        process.until_logged("was refused memory: its pool process may have 250 MB")
        assert tasks.plain.delay(5).get(timeout=60) == 5


def test_what_a_task_starts_counts_and_is_killed_with_it(own_redis: RedisServer, tasks: Any) -> None:
    with listening(tasks.app, "hive-child") as events, worker(own_redis).ready() as process:
        neighbour = tasks.wait.delay(2)
        hog = tasks.grow_elsewhere.delay(400)
        with pytest.raises(Exception, match="250 MB are allowed"):
            hog.get(timeout=60)
        assert went_on(own_redis, process, neighbour)
        said = f"that runs tests.support.resource_app.grow_elsewhere[{hog.id}] is killed"
        process.until_logged(said, times=3)
        assert process.text().count(said) == 3
        (letter,) = tasks.app.access.store.dead_letters("celery")
        assert "MB of memory, 250 MB are allowed" in letter.cause
        eventually(lambda: len(events) == 3, what="an event for each child that was killed")
    assert {(event["uuid"], event["resource"], event["bound"]) for event in events} == {(hog.id, "memory", 250 << 20)}


def test_a_task_that_forks_ends_with_all_that_it_started(own_redis: RedisServer, tasks: Any) -> None:
    with worker(own_redis).ready() as process:
        neighbour = tasks.wait.delay(2)
        bomb = tasks.fork.delay(200)
        with pytest.raises(Exception, match="processes, 30 are allowed"):
            bomb.get(timeout=60)
        assert went_on(own_redis, process, neighbour)
        assert own_redis.client().get("bombs") == b"3"
        forked = [int(pid) for pid in own_redis.client().lrange("forked", 0, -1)]  # type: ignore[union-attr]
        assert forked
        eventually(lambda: not any(map(_runs, forked)), what="all that was forked has ended")
        process.until_logged(f"that runs tests.support.resource_app.fork[{bomb.id}] is killed")


def test_a_task_is_bound_by_what_it_declares_to_need(own_redis: RedisServer, tasks: Any) -> None:
    with worker(own_redis, HIVE_WORKER_MEMORY_BOUND_MB="2000").ready():
        assert tasks.grow_by.delay(20).get(timeout=60)
        # Twice 150 MB are allowed, of the 2,000 of the worker.
        with pytest.raises(MemoryError):
            tasks.grow_by.delay(900).get(timeout=60)


def test_exclusive_tasks_queue_and_others_pass_them(own_redis: RedisServer, tasks: Any) -> None:
    with worker(own_redis).ready(), worker(own_redis).ready():
        results = [tasks.edit.delay(path, 0.2) for path in ("a", "b", "a", "b", "a")]
        assert tasks.plain.delay(1).get(timeout=60) == 1
        for result in results:
            result.get(timeout=60)
    steps = [line.decode().split() for line in own_redis.client().lrange("edits", 0, -1)]  # type: ignore[union-attr]
    assert len(steps) == 10
    for path in ("a", "b"):
        own = [(kind, id_) for where, kind, id_ in steps if where == path]
        assert all(
            (first[0], second[0]) == ("begin", "end") and first[1] == second[1]
            for first, second in zip(own[::2], own[1::2], strict=True)
        )
    paths = [path for path, _, _ in steps]
    assert any(one != other for one, other in zip(paths[::2], paths[1::2], strict=True)), (
        "a and b ran beside each other"
    )


def test_what_a_task_needs_is_booked_and_what_it_used_is_shown(own_redis: RedisServer, tasks: Any) -> None:
    with worker(own_redis).ready(), worker(own_redis).ready() as process:
        store, host = tasks.app.access.store, host_name()
        results = [tasks.claim_host.apply_async((0.7,), queue="celery") for _ in range(3)]
        booked = eventually(lambda: store.bookings(host), what="booked")
        assert len(booked) == 1
        assert next(iter(booked)).partition(":")[0] in {result.id for result in results}
        shown = resources_of(own_redis)
        assert {one["holder"].partition(":")[0] for one in shown["booked"]} <= {result.id for result in results}
        assert shown["host"]["memory_mb"] > 0
        for result in results:
            result.get(timeout=60)
        eventually(lambda: not store.bookings(host), what="given back")
        eventually(lambda: len(store.task_uses(["code_reviewer"])["code_reviewer"]) == 3, what="use is reported")
        shown = resources_of(own_redis)
        assert process.process.pid in {psutil.Process(one["pid"]).ppid() for one in shown["used"]}
        (advice,) = shown["advice"]
        assert (advice["agent_type"], advice["change"], advice["tasks"]) == ("code_reviewer", "unknown", 3)
    kinds = [line.decode().split()[1] for line in own_redis.client().lrange("edits", 0, -1)]  # type: ignore[union-attr]
    assert kinds == ["begin", "end"] * 3


def resources_of(server: RedisServer) -> dict[str, Any]:
    """What ``hive resources --json`` prints."""
    command = [sys.executable, "-m", "hive", "resources", "--json", "--app", f"{APP}:app"]
    variables = {**os.environ, "DELIVERY_URL": server.url}
    printed = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=200, check=True).stdout
    found: dict[str, Any] = json.loads(printed)
    return found


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
