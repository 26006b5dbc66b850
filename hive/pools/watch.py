"""The watch over the loop: names the task that keeps all others waiting."""

import asyncio
import sys
import threading
import traceback
from typing import Any, Protocol, runtime_checkable

from celery.utils.log import get_logger

from hive.clock import Clock, SystemClock

logger = get_logger(__name__)

#: Seconds between two looks while anything runs on the loop.
LOOK_EVERY_S = 0.05


@runtime_checkable
class Limited(Protocol):
    """What a step may belong to that has a time limit: the loop's own timers cannot fire while the step lasts."""

    def look_at_limit(self, now_s: float) -> None:
        """Report the hard limit if it is over; called by the watching thread."""


class LoopWatch:
    """Notices steps of the loop that take too long, while they last and when they end.

    A thread looks at the step that is running, so a task that computes is named with its stack while it does so. Native
    code that keeps the interpreter's lock stops that thread too; such a step is named when it ends.

    Args:
        limit_s: seconds a step may take before it is reported.
        clock: where time comes from.

    Attributes:
        blocked_count: steps reported so far.
    """

    def __init__(self, limit_s: float = 0.1, clock: Clock | None = None) -> None:
        self.limit_s = limit_s
        self.blocked_count = 0
        self._now = (clock or SystemClock()).monotonic_s
        self._owner: Any = None
        self._since_s = 0.0
        self._reported_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id = 0
        self._ticked_s = 0.0
        self._tick_asked = False
        self._busy = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, owner: Any) -> None:
        """Note that a step of ``owner`` begins on the loop."""
        self._since_s = self._now()
        self._owner = owner

    def leave(self) -> None:
        """Note that the step has ended; report it if it was long and nobody saw it."""
        owner, self._owner = self._owner, None
        if self._now() - self._since_s > self.limit_s and self._reported_s != self._since_s:
            self._report(owner, self._now() - self._since_s, "it kept the interpreter's lock, so there is no stack")

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch ``loop``; call it on the loop's own thread. A repeat does nothing."""
        if self._thread is not None:
            return
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="hive-loop-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watching thread and wait for it. A repeat does nothing."""
        self._ended.set()
        self._busy.set()
        if self._thread is not None:
            self._thread.join(5)

    def busy(self, running: bool) -> None:
        """Say whether anything runs on the loop: an idle worker is not woken to look."""
        if running:
            self._busy.set()
        else:
            self._busy.clear()

    def run_once(self) -> None:
        """Look once: at the step that is running, else at whether the loop turns at all."""
        owner, since_s = self._owner, self._since_s
        if owner is not None:
            lasted_s = self._now() - since_s
            if lasted_s > self.limit_s and self._reported_s != since_s and self._since_s == since_s:
                self._reported_s = since_s
                self._report(owner, lasted_s, self._stack())
            if isinstance(owner, Limited):
                owner.look_at_limit(self._now())
            return
        self._look_at_turns()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._busy.wait()
            self.run_once()
            self._ended.wait(LOOK_EVERY_S)

    def _look_at_turns(self) -> None:
        """Catch what blocks the loop outside of a task's own steps, such as a child task it started."""
        if self._loop is None or self._loop.is_closed():
            return
        if not self._tick_asked:
            self._tick_asked, self._ticked_s = True, self._now()
            self._loop.call_soon_threadsafe(self._tick)
        elif self._now() - self._ticked_s > self.limit_s and self._reported_s != self._ticked_s:
            lasted_s, self._reported_s = self._now() - self._ticked_s, self._ticked_s
            current = asyncio.current_task(self._loop)
            self._report(getattr(current, "hive_owner", None), lasted_s, self._stack())

    def _tick(self) -> None:
        self._tick_asked = False

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._thread_id)
        return "".join(traceback.format_stack(frame)) if frame is not None else "the loop's thread has ended"

    def _report(self, owner: Any, lasted_s: float, stack: str) -> None:
        self.blocked_count += 1
        logger.warning(
            "%s has blocked the event loop for %.0f ms; every other task of this process waits for it. "
            "Await what waits, and hand what computes to a thread or to a prefork pool. It was here:\n%s",
            owner or "a callback outside of any task",
            lasted_s * 1000,
            stack,
        )
