"""The threads pool: who runs what, what is told to whom, and what a stop leaves behind."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo

from hive.pools.thread_pool import TaskPool
from tests.support.eventually import eventually

WAIT_S = 60.0


@pytest.fixture
def pool() -> Iterator[TaskPool]:
    pool = TaskPool(limit=2)
    pool.start()
    yield pool
    pool.stop()


def test_as_many_run_as_there_are_slots_and_each_says_how_it_ended(pool: TaskPool) -> None:
    goes_on, running = threading.Event(), list[str]()
    accepted, ended = list[int](), list[Any]()

    def body(name: str, *, fails: bool = False) -> str:
        running.append(name)
        goes_on.wait(WAIT_S)
        if fails:
            raise KeyError(name)
        return name

    handed = [
        pool.apply_async(
            body, (str(n),), {"fails": n == 3}, callback=ended.append,
            accept_callback=lambda pid, _: accepted.append(pid), error_callback=ended.append,
        )
        for n in range(5)
    ]  # fmt: skip
    eventually(lambda: len(running) == 2, WAIT_S, what="both slots are taken")
    with pytest.raises(TimeoutError):
        handed[4].get(timeout=0.01)
    assert running == ["0", "1"]
    goes_on.set()
    assert [handed[n].get(WAIT_S) for n in (0, 1, 2, 4)] == ["0", "1", "2", "4"]
    with pytest.raises(RuntimeError, match="past its tracer"):
        handed[3].get(WAIT_S)
    assert len(set(accepted)) == 1
    assert len(accepted) == 5
    assert sorted(one for one in ended if isinstance(one, str)) == ["0", "1", "2", "4"]
    (failure,) = (one for one in ended if isinstance(one, ExceptionInfo))
    assert "KeyError" in failure.traceback
    assert pool.info["threads"] == 2


def test_what_is_refused_does_not_run_and_no_error_takes_a_slot(pool: TaskPool) -> None:
    def refuse(_: int, __: float) -> None:
        raise ValueError("not ours any more")

    def stray() -> None:
        raise asyncio.CancelledError

    ran, told = list[int](), list[Any]()
    refused = [pool.apply_async(ran.append, (n,), accept_callback=refuse, error_callback=told.append) for n in range(3)]
    lost = [pool.apply_async(stray, error_callback=told.append) for _ in range(3)]
    after = pool.apply_async(ran.append, (7,), callback=lambda _: None)
    assert after.wait(WAIT_S)
    assert ran == [7]
    for one in refused:
        with pytest.raises(ValueError, match="not ours"):
            one.get(WAIT_S)
    assert all(one.wait(WAIT_S) for one in lost)
    assert ["CancelledError" in str(one.traceback) for one in told] == [True] * 3


def test_a_stop_begins_nothing_more_and_waits_for_what_runs() -> None:
    pool = TaskPool(limit=1)
    pool.start()
    begun, goes_on = threading.Event(), threading.Event()

    def body() -> bool:
        begun.set()
        return goes_on.wait(WAIT_S)

    runs = pool.apply_async(body)
    waits = pool.apply_async(body)
    assert begun.wait(WAIT_S)
    stopping = threading.Thread(target=pool.stop)
    stopping.start()
    with pytest.raises(RuntimeError, match="stopped before"):
        waits.get(WAIT_S)
    assert stopping.is_alive()
    goes_on.set()
    stopping.join(WAIT_S)
    assert not stopping.is_alive()
    assert runs.get(0) is True
    with pytest.raises(RuntimeError, match="was stopped"):
        pool.apply_async(body)
    pool.stop()


#: Says so when its task has ended, although the wait for it is ended by a signal.
INTERRUPTED = """
import signal, threading
from hive.pools.thread_pool import TaskPool

def interrupt(*_):
    raise NotImplementedError("as Celery's second signal does in this pool")

def body():
    begun.set()
    threading.Event().wait(1)
    print("ended", flush=True)

begun, pool = threading.Event(), TaskPool(limit=1)
pool.start()
pool.apply_async(body)
begun.wait()
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.1)
try:
    pool.stop()
except NotImplementedError:
    print("interrupted", flush=True)
"""


def test_what_runs_is_not_cut_off_although_a_signal_ends_the_wait_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, timeout=WAIT_S, check=True)
    assert done.stdout.split() == [b"interrupted", b"ended"]


def test_a_task_for_which_the_system_has_no_thread_is_refused_and_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool, ran = TaskPool(limit=2), list[int]()
    pool.start()
    assert pool.apply_async(ran.append, (1,)).wait(WAIT_S)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            pool.apply_async(ran.append, (2,))
    assert pool.apply_async(ran.append, (3,)).wait(WAIT_S)
    pool.stop()
    assert ran == [1, 3]
