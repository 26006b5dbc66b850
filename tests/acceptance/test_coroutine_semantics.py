"""Every case runs as a plain task under prefork and as a coroutine in the asyncio pool, and must look the same."""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult

from hive import Hive
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.semantics import Log, build

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
#: What ends the trace of a task.
ENDS = ("task-succeeded", "task-failed", "task-rejected", "IGNORED")
POOLS = {"sync": "prefork", "async": "hive.pools:AsyncioPool"}


class Flavour:
    """One worker, and the application as its caller sees it."""

    def __init__(self, name: str, server: RedisServer) -> None:
        self.name = name
        self.app: Hive = build(name, server.url)
        self.log = Log(server.url, name)
        self.events: dict[str, list[str]] = {}
        command = [sys.executable, "-m", "tests.support.semantics", name, server.url, POOLS[name]]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1"}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        self._receiver: Any = None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __getattr__(self, name: str) -> Any:
        return self.app.tasks[name]

    def ready(self) -> bool:
        return bool(self.app.control.ping([f"{self.name}@semantics"], timeout=0.5))

    def close(self) -> None:
        self._receiver.should_stop = True
        self.process.terminate()
        self.process.wait(60)
        self._listener.join(60)

    def _listen(self) -> None:
        with self.app.connection_for_read() as connection:
            self._receiver = self.app.events.Receiver(connection, handlers={"*": self._note})
            self._receiver.capture(limit=None, timeout=None, wakeup=False)

    def _note(self, event: dict[str, Any]) -> None:
        if "uuid" in event:
            self.events.setdefault(event["uuid"], []).append(event["type"])


@pytest.fixture(scope="module")
def flavours() -> Iterator[dict[str, Flavour]]:
    server = RedisServer().start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        both = {name: Flavour(name, server) for name in POOLS}
        for flavour in both.values():
            stack.callback(flavour.close)
        for flavour in both.values():
            eventually(flavour.ready, what=f"worker {flavour.name}")
        yield both


Case = Callable[[Flavour], AsyncResult]
CASES: dict[str, tuple[Case, Any]] = {
    "returns": (lambda f: f.add.delay(1, y=2), 3),
    "returns nothing stored": (lambda f: f.forgotten.delay(), None),
    "acknowledged early": (lambda f: f.early.delay(), "acknowledged early"),
    "fails": (lambda f: f.fail.delay(), ValueError("no")),
    "fails as expected": (lambda f: f.expected.delay(), KeyError("key")),
    "fails with an odd error": (lambda f: f.odd.delay(), ...),
    "cannot be serialised": (lambda f: f.unserialisable.delay(), ...),
    "wrong arguments": (lambda f: f.picky.delay(1, 2), ...),
    "ignored": (lambda f: f.ignored.delay(), None),
    "rejected": (lambda f: f.rejected.delay(), ...),
    "rejected and requeued": (lambda f: f.rejected_once.delay(), "second"),
    "retried": (lambda f: f.retried.delay(2), 2),
    "retried too often": (lambda f: f.retried.delay(9), ValueError("not yet")),
    "autoretried": (lambda f: f.autoretried.delay(1), 1),
    "autoretried too often": (lambda f: f.autoretried.delay(9), ValueError("not yet")),
    "not autoretried": (lambda f: f.autoretried.delay(9, "UnicodeError"), UnicodeError("not yet")),
    "chain": (lambda f: chain(f.add.s(1, 1), f.add.s(2), f.add.s(3)).delay(), 7),
    "chain broken": (lambda f: chain(f.fail.si(), f.add.s(2)).delay(), ValueError("no")),
    "chord": (lambda f: chord([f.add.s(i, i) for i in range(4)], f.total.s()).delay(), 12),
    "chord of chains": (lambda f: chord([f.add.s(1, 1) | f.add.s(i) for i in range(3)], f.total.s()).delay(), 9),
    "chord broken": (lambda f: chord([f.add.s(1, 1), f.fail.si()], f.total.s()).delay(), ...),
    "replaced": (lambda f: f.replaced.delay(1), 101),
    "replaced in a chain": (lambda f: chain(f.replaced.s(1), f.add.s(1)).delay(), 102),
    "replaced by a group": (lambda f: f.replaced_by_group.delay(1), [2, 3]),
    "request": (lambda f: f.describe.apply_async((1,), {"a": 2}, task_id=f"describe-{f.name}", shadow="shade"), ...),
    "progress": (lambda f: f.progress.delay(), "PROGRESS"),
    "pydantic": (lambda f: f.move.delay({"x": 1, "y": 2}), {"x": 2, "y": 2}),
    "countdown": (lambda f: f.add.apply_async((1, 1), countdown=0.3), 2),
    "soft limit caught": (lambda f: f.nap.apply_async((30,), soft_time_limit=0.3), "told in time"),
    "soft limit": (lambda f: f.sleep_on.apply_async((30,), soft_time_limit=0.3), ...),
    "hard limit": (lambda f: f.sleep_on.apply_async((30,), time_limit=0.5), ...),
    "hooks": (lambda f: f.hooked.delay(), "well"),
    "hooks of a failure": (lambda f: f.hooked.delay("fail"), ValueError("fail")),
    "hooks of a retry": (lambda f: f.hooked.delay("retry"), "retry"),
    "first hook fails": (lambda f: f.hooked.delay("before"), ValueError("before")),
    "last hook fails": (lambda f: f.hooked.delay("hook"), "hook"),
    "own __call__": (lambda f: f.wrapped.delay(1), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_coroutine_ends_as_a_plain_task_does(flavours: dict[str, Flavour], name: str) -> None:
    start, expected = CASES[name]
    results = {flavour.name: start(flavour) for flavour in flavours.values()}
    outcomes = {name_: _outcome(flavours[name_], result, name) for name_, result in results.items()}
    assert outcomes["async"] == outcomes["sync"]
    if expected is not ...:
        assert outcomes["async"] == (repr(expected), "PENDING" if expected is None else outcomes["async"][1])

    def are_equal() -> bool:
        sync, coroutine = (_trace(flavours[name_], result.id) for name_, result in results.items())
        # What the caller of something broken waits for never runs.
        has_ended = not coroutine if "broken" in name else any(mark in str(coroutine) for mark in ENDS)
        return has_ended and sync == coroutine

    eventually(are_equal, what=f"one trace of {[result.id for result in results.values()]}")


def test_links_run_with_the_result_and_errbacks_with_the_error(flavours: dict[str, Flavour]) -> None:
    seen = {}
    for flavour in flavours.values():
        link = flavour.add.s(10)
        linked = link.freeze()
        flavour.add.apply_async((1, 1), link=[link, flavour.add.s(20)])
        failed = flavour.fail.apply_async(link_error=flavour.record_error.s())
        with contextlib.suppress(ValueError):
            failed.get(timeout=60)
        errors = eventually(lambda f=flavour, i=failed.id: [x for x in f.log.read(i) if "errback" in x])
        seen[flavour.name] = linked.get(timeout=60), errors
    assert seen["async"] == seen["sync"] == (12, ["0.0 errback ValueError no"])


def test_a_group_gives_all_results_and_children_are_recorded(flavours: dict[str, Flavour]) -> None:
    for flavour in flavours.values():
        assert group(flavour.add.s(i, 1) for i in range(5)).delay().get(timeout=60) == [1, 2, 3, 4, 5]
        spawned = flavour.spawn.delay(1)
        child = spawned.get(timeout=60)
        assert [result.id for result in spawned.children] == [child]


def test_started_is_stored_while_a_tracked_task_runs(flavours: dict[str, Flavour]) -> None:
    for flavour in flavours.values():
        result = flavour.tracked.delay(1)
        eventually(lambda r=result: r.state == "STARTED")
        assert set(result.info) == {"pid", "hostname"}
        assert result.get(timeout=60) == "slept"


def test_a_revoked_task_ends_revoked_whether_it_waits_or_runs(flavours: dict[str, Flavour]) -> None:
    seen = {}
    for flavour in flavours.values():
        running = flavour.sleep_on.delay(30)
        eventually(lambda f=flavour, r=running: "0.0 began" in f.log.read(r.id))
        flavour.app.control.revoke(running.id, terminate=True)
        later = flavour.add.apply_async((1, 1), countdown=60)
        flavour.app.control.revoke(later.id)
        expired = flavour.add.apply_async((1, 1), countdown=0.5, expires=0.1)
        states = {}
        for name, result in {"running": running, "later": later, "expired": expired}.items():
            eventually(lambda r=result: r.state == "REVOKED", what=name)
            states[name] = eventually(lambda f=flavour, r=result: _trace_with(f, r.id, "task-revoked"))
        seen[flavour.name] = states
    assert seen["async"] == seen["sync"]
    assert "0.0 revoked" in seen["async"]["running"]


def _outcome(flavour: Flavour, result: AsyncResult, case: str) -> tuple[str, str]:
    """Wait for the end of a case, and return its result without what differs by nature, and its state."""
    if case in {"ignored", "returns nothing stored"}:
        eventually(lambda: any("postrun" in line for line in flavour.log.read(result.id)))
        return "None", result.state
    text = repr(result.get(timeout=60, propagate=False))
    text = re.sub(r"0x[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "...", text)
    return text.replace(flavour.name, "flavour"), result.state


def _trace(flavour: Flavour, task_id: str) -> list[str]:
    """Return what one task went through: its signals and hooks in order, attempt by attempt, then its events.

    A pool process is killed at a hard limit and at a revoke; a coroutine is cancelled, and says with a `task_postrun`
    without state that it is gone: that is left out.
    """
    log = [re.sub(r"0x[0-9a-f]+", "...", line) for line in flavour.log.read(task_id) if "postrun None None" not in line]
    events = flavour.events.get(task_id, [])
    if "TimeLimitExceeded" in str(log):
        # The prefork pool tells of a hard limit twice.
        log, events = list(dict.fromkeys(log)), list(set(events))
    attempts = sorted(log, key=lambda line: line.split()[0])
    return [*(line.replace(flavour.name, "flavour") for line in attempts), *sorted(events)]


def _trace_with(flavour: Flavour, task_id: str, event: str) -> list[str]:
    trace = _trace(flavour, task_id)
    return trace if event in trace else []
