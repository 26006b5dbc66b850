"""A pool of threads that takes a task over by one put into a queue, and in which every task ends.

Celery's hands each task to the standard library's executor, which makes a future of it, with a condition and two locks: an
eighth of all that a worker of short tasks does, for an answer that nobody asks for.

An error that is no ``Exception``, such as the ``CancelledError`` of a loop that a body ran, passes by Celery's tracer, and
stock tells nobody: the task would keep its slot and its lease for as long as the worker lives.
"""

import atexit
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool
from celery.exceptions import WorkerShutdown, WorkerTerminate


class Handed:
    """A task that was handed to the pool, for whoever wants to wait for its end."""

    __slots__ = ("__weakref__", "_ended", "error", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        # Held until the end: the cheapest thing to wait for that there is.
        self._ended = threading.Lock()
        self._ended.acquire()

    def end(self) -> None:
        """Note that it has run, or never will, and tell who waits."""
        self._ended.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most ``timeout`` seconds; returns whether it has come."""
        if not self._ended.acquire(timeout=-1 if timeout is None else timeout):
            return False
        self._ended.release()
        return True

    def get(self, timeout: float | None = None) -> Any:
        """Return what the task's function returned.

        Raises:
            TimeoutError: it has not ended within ``timeout`` seconds.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"the task has not ended within {timeout} s")
        if self.error is not None:
            raise self.error
        return self.value


Call = tuple[
    Handed,
    Callable[..., Any],
    Sequence[Any],
    Mapping[str, Any],
    Callable[..., Any],
    Callable[..., Any],
    Callable[..., Any],
]


class TaskPool(BasePool):
    """As many threads as slots, each started with a task that is handed over, until there are enough.

    A stop begins nothing more and waits for what runs, as the end of the process does: a thread cannot be ended.
    """

    body_can_be_buffer = True
    signal_safe = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        #: One for each thread; an interrupted `Thread.join` takes the thread for ended before Python 3.13.
        self._ends: list[threading.Event] = []
        self._is_stopped = False

    def on_start(self) -> None:
        """See that what runs at the end of the process is waited for."""
        atexit.register(self.on_stop)

    def on_stop(self) -> None:
        """Begin nothing more, and return when what runs has ended. A repeat goes on where an error ended the wait."""
        self._is_stopped = True
        with suppress(Empty):
            while True:
                call = self._calls.get_nowait()
                if call is not None:
                    call[0].error = RuntimeError("the pool was stopped before the task began")
                    call[0].end()
        for _ in self._ends:
            self._calls.put(None)
        for end in self._ends:
            end.wait()
        self._ends.clear()
        # Not before: a second signal ends this wait by an error, and what runs would be cut off at the end of the process.
        atexit.unregister(self.on_stop)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        error_callback: Callable[..., Any] | None = None,
        **_: Any,
    ) -> Handed:
        """Run a task on a thread as soon as one is free.

        Args:
            target: what to run.
            args: of the target.
            kwargs: of the target.
            callback: told what it returned.
            accept_callback: told, before it runs, the number of the process and the monotonic time; it may refuse by an error.
            error_callback: told of an error that it let through.

        Raises:
            RuntimeError: the pool was stopped, or the system gives no more threads; the task will not run.
        """
        if self._is_stopped:
            raise RuntimeError("the pool was stopped")
        if len(self._ends) < self.limit:
            # First of all, as it may be refused: then the task must not run after all.
            end = threading.Event()
            threading.Thread(target=self._run, args=(end,), name=f"task-{len(self._ends)}", daemon=True).start()
            self._ends.append(end)
        handed = Handed()
        self._calls.put(
            (
                handed,
                target,
                args,
                kwargs or {},
                callback or _nobody,
                accept_callback or _nobody,
                error_callback or _nobody,
            )
        )
        return handed

    def _run(self, end: threading.Event) -> None:
        next_call, pid = self._calls.get, os.getpid()
        while (call := next_call()) is not None:
            handed, target, args, kwargs, on_end, on_begin, on_error = call
            try:
                on_begin(pid, monotonic())
                handed.value = _traced(target, args, kwargs, on_error)
                on_end(handed.value)
            except BaseException as error:  # for whoever asks; what Celery must know it was told
                handed.error = error
            handed.end()
            # A thread that waits for the next must not keep this one alive.
            del call, handed, target, args, kwargs, on_end, on_begin, on_error
        end.set()

    def _get_info(self) -> dict[str, Any]:
        return {**super()._get_info(), "threads": len(self._ends)}


def _traced(
    target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], on_error: Callable[[Any], Any]
) -> Any:
    try:
        return target(*args, **kwargs)
    except (WorkerShutdown, WorkerTerminate):
        raise
    except BaseException as error:
        on_error(ExceptionInfo())
        # The task has ended, and is not to end once more.
        raise RuntimeError("the task failed past its tracer") from error


def _nobody(*_: Any) -> None:
    """Nobody asked."""
