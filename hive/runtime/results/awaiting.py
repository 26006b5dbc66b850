"""Calling tasks and waiting for them from coroutines: web handlers, and agents that start other agents.

Publishing is Celery's own, one short call on one of a few threads, so that it has every option, route, batch and
repeat that `apply_async` has. Waiting takes no thread at all: results are announced on Redis, and one connection of an
event loop listens for all who wait. With another result backend the result is asked for now and then.
"""

import asyncio
import sys
import weakref
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from typing import Any

from celery import states
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.exceptions import TimeoutError as ResultTimeoutError
from celery.result import AsyncResult, GroupResult
from vine import promise

from hive.guards.fallback import Fallback
from hive.pools.network import Network
from hive.runtime.results.fallback import MARK
from hive.store.result_watch import ResultWatch

#: Longest seconds between two looks at a result on a backend that announces nothing.
POLL_MAX_S = 1.0


class Awaiting:
    """What an application's coroutines need to call tasks and to wait for them.

    Args:
        app: the application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._network = Network()
        self._watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, ResultWatch] = weakref.WeakKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._app,)

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call what may wait for the broker, off the loop, as if the caller had called it."""
        return await self._network.call(function, *args, **kwargs)

    async def meta(self, result: AsyncResult) -> dict[str, Any]:
        """Wait for the end of a task and return what its result backend knows of it."""
        backend = result.backend
        if not isinstance(backend, RedisBackend) or isinstance(backend, SentinelBackend):
            return await self._poll(result)
        watch = self._watch(backend)
        found: dict[str, Any] = {}

        def is_last(value: bytes) -> bool:
            found.update(backend.decode_result(value))
            return found["status"] in states.READY_STATES

        key = backend.get_key_for_task(result.id)
        await watch.until(key.decode() if isinstance(key, bytes) else key, is_last)
        return found

    def _watch(self, backend: RedisBackend) -> ResultWatch:
        loop = asyncio.get_running_loop()
        if loop not in self._watches:
            self._watches[loop] = ResultWatch(backend.connparams)
        return self._watches[loop]

    async def _poll(self, result: AsyncResult) -> dict[str, Any]:
        pause_s = 0.05
        while True:
            meta: dict[str, Any] = await self.call(result.backend.get_task_meta, result.id)
            if meta["status"] in states.READY_STATES:
                return meta
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, POLL_MAX_S)

    async def close(self) -> None:
        """Close the connections of the running loop. A repeat does nothing."""
        watch = self._watches.pop(asyncio.get_running_loop(), None)
        if watch is not None:
            await watch.close()


class HiveResult(AsyncResult):
    """Celery's result, which a coroutine can wait for, and which says if it is a fallback.

    Takes the arguments of Celery's. What is called when the task has ended is made once somebody asks for it.
    """

    app: Any

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name
        backend: Any = None,
        task_name: str | None = None,
        app: Any = None,
        parent: Any = None,
    ) -> None:
        app = app or self.app
        if id is None or app is None:
            super().__init__(id, backend, task_name, app, parent)
            return
        self.app, self.id, self.parent = app, id, parent
        self.backend = backend or app.backend
        self._cache = None
        self._ignored = False

    @cached_property
    def on_ready(self) -> Any:
        """The promise that is kept when the task has ended."""
        return promise(self._on_fulfilled, weak=True)

    def __del__(self) -> None:
        # At the end of the process the broker drops its subscriptions by itself, and Python imports nothing any more.
        if sys.is_finalizing():
            return
        # Nobody waits for a result that is ignored, unless it was asked to call somebody.
        if not (getattr(self, "_ignored", None) and "on_ready" not in self.__dict__):
            super().__del__()

    @property
    def fallback(self) -> Fallback | None:
        """Where the result comes from if it is a fallback, with its age; None: the task's own, or there is none yet."""
        return Fallback.of_header(self._get_task_meta().get(MARK))

    @property
    def is_fallback(self) -> bool:
        """Whether the result is a fallback, because a guard let the task not run."""
        return self.fallback is not None

    async def aget(self, timeout: float | None = None, *, propagate: bool = True) -> Any:
        """Wait until the task has ended and return its result, as ``get`` does, without holding a thread.

        A task may wait for its own subtasks with it.

        Args:
            timeout: seconds to wait at most; none: as long as it takes.
            propagate: whether to raise what the task raised rather than return it.

        Raises:
            celery.exceptions.TimeoutError: it has not ended in time.
            Exception: what the task raised.
        """
        if self.ignored:
            return None
        if self._cache is None:
            try:
                async with asyncio.timeout(timeout):
                    self._maybe_set_cache(await self.app.awaiting.meta(self))
            except TimeoutError as exc:
                raise ResultTimeoutError(f"task {self.id} has not ended within {timeout:g} s") from exc
        if propagate:
            self.maybe_throw()
        return self.result

    def __await__(self) -> Any:
        return self.aget().__await__()


class HiveGroupResult(GroupResult):
    """Celery's results of a group, which a coroutine can wait for."""

    async def aget(self, timeout: float | None = None, *, propagate: bool = True) -> list[Any]:
        """Wait for all tasks and return their results in the group's order.

        Raises:
            celery.exceptions.TimeoutError: some have not ended in time.
            Exception: what the first failed task raised.
        """
        waits = [result.aget(propagate=propagate) for result in self.results]
        try:
            async with asyncio.timeout(timeout):
                return list(await asyncio.gather(*waits))
        except TimeoutError as exc:
            raise ResultTimeoutError(f"group {self.id} has not ended within {timeout:g} s") from exc

    async def __aiter__(self) -> AsyncIterator[AsyncResult]:
        """Yield each result as soon as its task has ended, failed or not; its ``result`` and ``state`` are there."""

        async def ended(result: Any) -> Any:
            await result.aget(propagate=False)
            return result

        waits = [asyncio.ensure_future(ended(result)) for result in self.results]
        try:
            for wait in asyncio.as_completed(waits):
                yield await wait
        finally:
            for left in waits:
                left.cancel()


class AwaitableTask:
    """What a task offers to coroutines; to be put before Celery's task in a class's bases."""

    app: Any
    apply_async: Callable[..., Any]

    async def adelay(self, *args: Any, **kwargs: Any) -> HiveResult:
        """Call the task as ``delay`` does, without blocking the event loop."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(self, *args: Any, **options: Any) -> HiveResult:
        """Call the task as ``apply_async`` does, with its options and errors, without blocking the event loop."""
        app = self.app
        result: HiveResult = await app.backpressure.asend(app.awaiting.call, self.apply_async, *args, **options)
        return result
