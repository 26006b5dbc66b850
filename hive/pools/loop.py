"""The event loop of a process, on a thread of its own."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from typing import Any, TypeVar

from hive.pools.identity import current_owner

T = TypeVar("T")

#: Posted calls made in one turn of the loop: ten thousand tasks that start at once must not keep others waiting.
TURN_CALLS = 200


class LoopThread:
    """One asyncio loop that runs on its own thread from ``start`` to ``stop``.

    The consumer keeps its thread: it answers `inspect ping` and acknowledges while a task blocks the loop.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str = "hive-loop") -> None:
        self.name = name
        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self.loop.set_task_factory(_owned_task)
        self._calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._asked = False
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_current(self) -> bool:
        """Whether the caller is on the loop's thread."""
        return self._thread is threading.current_thread()

    def start(self) -> None:
        """Start the thread. A repeat does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Have ``function`` called on the loop; safe from any thread. Many calls cost one wake-up.

        After the loop was closed nothing is called: whoever posts then has nothing to lose but the notice.
        """
        self._calls.append((function, args))
        if not self._asked and not self.loop.is_closed():
            self._asked = True
            self.loop.call_soon_threadsafe(self._drain)

    def run(self, coroutine: Coroutine[Any, Any, T], context: Context | None = None) -> "Future[T]":
        """Run ``coroutine`` on the loop, in ``context`` if given; safe from any thread."""
        done: Future[T] = Future()
        self.post(self._begin, coroutine, context, done)
        return done

    def _begin(self, coroutine: Coroutine[Any, Any, T], context: Context | None, done: "Future[T]") -> None:
        task = self.loop.create_task(coroutine, context=context)
        task.add_done_callback(lambda ended: _pass_on(ended, done))

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Stop the loop and wait for its thread; say whether it ended. A repeat does nothing."""
        if self._thread is None or not self._thread.is_alive():
            return True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self._cancel_all()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    def _cancel_all(self) -> None:
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=1.0))

    def _drain(self) -> None:
        self._asked = False
        for _ in range(min(len(self._calls), TURN_CALLS)):
            function, args = self._calls.popleft()
            function(*args)
        if self._calls and not self._asked:
            self._asked = True
            self.loop.call_soon(self._drain)


def _pass_on(ended: "asyncio.Task[T]", done: "Future[T]") -> None:
    if ended.cancelled():
        done.cancel()
    elif (error := ended.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(ended.result())


def _owned_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
    """Build a task that knows which delivery started it, so that the watch can name a child that blocks."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    task.hive_owner = current_owner()  # type: ignore[attr-defined]
    return task
