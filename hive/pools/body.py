"""The body of a coroutine task: run step by step under the eye of the watch, and open to interruption."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded

from hive.pools.watch import LoopWatch


class SoftLimitReached(SoftTimeLimitExceeded, asyncio.CancelledError):
    """What a coroutine sees at its soft limit.

    It is Celery's error, so that tasks catch what they always caught, and it is a cancellation, so that task groups
    and libraries around the awaiting code end their children as they do for any cancellation.
    """


class Body:
    """Awaitable around a task's coroutine; awaiting it runs the coroutine in the awaiting task.

    Args:
        coroutine: what the task's function returned.
        owner: the delivery, named by the watch.
        watch: told when each step begins and ends.
        task: the asyncio task that awaits it.
    """

    __slots__ = ("_coroutine", "_interruption", "_owner", "_watch", "task")

    def __init__(
        self, coroutine: Awaitable[Any], owner: Any, watch: LoopWatch, task: "asyncio.Task[Any] | None"
    ) -> None:
        self._coroutine = coroutine if isinstance(coroutine, Coroutine) else _awaiting(coroutine)
        self._owner = owner
        self._watch = watch
        self._interruption: BaseException | None = None
        self.task = task

    def interrupt(self, error: BaseException | None = None) -> None:
        """Cancel what the coroutine waits for; it sees ``error`` there, or a plain cancellation without one."""
        self._interruption = error
        if self.task is not None:
            self.task.cancel()

    def __await__(self) -> "Body":
        return self

    def __iter__(self) -> "Body":
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Run to the next await."""
        if self._interruption is not None:
            # The cancellation went into a child that ended well: what it was sent for still has to be said.
            return self.throw(asyncio.CancelledError())
        self._watch.enter(self._owner)
        try:
            return self._coroutine.send(value)
        finally:
            self._watch.leave()

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Raise an error at the await; a cancellation that stands for another error becomes that one."""
        error = kind if value is None else value
        if self._interruption is not None and _is_cancellation(error):
            error, self._interruption, traceback = self._interruption, None, None
            if self.task is not None:
                # The cancellation ends here: a count left behind would confuse timeouts and task groups later on.
                self.task.uncancel()
        self._watch.enter(self._owner)
        try:
            if traceback is not None:
                error = error.with_traceback(traceback)
            return self._coroutine.throw(error)
        finally:
            self._watch.leave()

    def close(self) -> None:
        """Close the coroutine, as for a generator."""
        self._coroutine.close()


def _is_cancellation(error: Any) -> bool:
    return isinstance(error, asyncio.CancelledError) or error is asyncio.CancelledError


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
