"""The one event loop of a process, whichever pool the process belongs to."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery.utils.log import get_logger

from hive.pools.body import Body, SoftLimitReached
from hive.pools.identity import current_owner, identity, own_context, separate
from hive.pools.lifespan import Lifespan
from hive.pools.loop import LoopThread
from hive.pools.watch import LoopWatch

logger = get_logger(__name__)


class ProcessLoop:
    """Keeps one event loop per process, started at first use, and runs coroutine tasks of any pool on it.

    Clients and connection pools of an event loop die with it: a loop for each call is what leaves tasks with "Event
    loop is closed". A forked child starts a loop of its own.

    Args:
        lifespan: opened on the loop before its first task.

    Attributes:
        watch: watches the loop of this process.
    """

    def __init__(self, lifespan: Lifespan) -> None:
        self.lifespan = lifespan
        self.watch = LoopWatch()
        self._thread: LoopThread | None = None
        self._pid = 0
        self._starting = threading.Lock()

    @property
    def thread(self) -> LoopThread:
        """The loop's thread, running."""
        with self._starting:
            if self._thread is None or self._pid != os.getpid():
                self._thread, self._pid, self.watch = LoopThread(), os.getpid(), LoopWatch()
                self._thread.start()
        return self._thread

    @property
    def is_current(self) -> bool:
        """Whether the caller is on the loop's own thread."""
        return self._thread is not None and self._thread.is_current

    def call(self, task: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run ``task``'s coroutine on the loop and wait for it, in the context and with the request of the caller.

        A soft time limit that strikes the caller is raised inside the coroutine.

        Raises:
            RuntimeError: called on the loop's own thread, which would wait for itself.
        """
        thread = self.thread
        if thread.is_current:
            coroutine.close()
            raise RuntimeError("a coroutine task was called from the event loop without await: await it, or adelay it")
        separate(task)
        owner = current_owner() or identity()
        running: list[Body] = []
        context = copy_context()
        context.run(own_context, owner)
        name = f"task {task.name}[{task.request.id}]"
        future = thread.run(self._run(coroutine, name, running), context)
        try:
            return _value(future.result())
        except SoftTimeLimitExceeded:
            if future.done():
                raise
            thread.post(_interrupt, running)
            return _value(future.result())

    async def _run(self, coroutine: Coroutine[Any, Any, Any], name: str, running: list[Body]) -> Any:
        await self.prepare()
        self.watch.busy(True)
        body = Body(coroutine, name, self.watch, asyncio.current_task())
        running.append(body)
        try:
            return await body
        except SoftLimitReached as exc:
            raise SoftTimeLimitExceeded(*exc.args) from None
        except (SystemExit, KeyboardInterrupt) as exc:
            # asyncio would let it end the loop, under all who wait for it.
            return _Exit(exc)

    async def prepare(self) -> None:
        """Open the lifespan and start the watch, on the loop. A repeat does nothing."""
        self.watch.start(asyncio.get_running_loop())
        await self.lifespan.open()

    def close(self) -> None:
        """Close the lifespan and end the loop. A repeat does nothing."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        try:
            if thread.is_running:
                thread.run(self.lifespan.close()).result(10)
        except Exception:
            logger.exception("the lifespan of this process could not be closed")
        self.watch.stop()
        if not thread.stop():
            logger.error("the event loop did not end: a task still blocks it")


class _Exit:
    """The wish of a body to end the process, on its way to the thread that called it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _value(outcome: Any) -> Any:
    if isinstance(outcome, _Exit):
        raise outcome.error
    return outcome


def _interrupt(running: list[Body]) -> None:
    for body in running:
        body.interrupt(SoftLimitReached())
