"""Threads for what would block the loop: plain functions, and the worker's own calls over the network."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads(Executor):
    """A bounded executor whose threads never keep the process from ending.

    The standard library's executor is joined at exit: a function that hangs would hold a worker for ever that has
    already handed its work back.

    Args:
        name: of the threads.
        limit: most threads; they are started as work comes, and stay.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._change = threading.Condition()
        self._count = 0
        self._idle = 0
        self._closed = False

    @property
    def count(self) -> int:
        """Threads that were started."""
        return self._count

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Have ``fn`` called on a thread as soon as one is free.

        Raises:
            RuntimeError: the executor was shut down.
        """
        future: Future[T] = Future()
        with self._change:
            if self._closed:
                raise RuntimeError(f"the threads {self.name!r} have been shut down")
            self._calls.append((future, lambda: fn(*args, **kwargs)))
            if len(self._calls) > self._idle and self._count < self.limit:
                self._count += 1
                threading.Thread(target=self._run, name=f"{self.name}-{self._count}", daemon=True).start()
            self._change.notify()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:  # noqa: ARG002 - never waits
        """Start nothing more; what runs is left to itself. A repeat does nothing."""
        with self._change:
            self._closed = True
            while cancel_futures and self._calls:
                self._calls.popleft()[0].cancel()
            self._change.notify_all()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            future, function = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function()
            except BaseException as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)
            del future, function, call

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._change:
            self._idle += 1
            try:
                while not self._calls:
                    if self._closed:
                        return None
                    self._change.wait()
                return self._calls.popleft()
            finally:
                self._idle -= 1
