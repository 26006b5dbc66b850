"""One delivery in the pool, from the consumer's hand to its report back.

::

    waiting ──> running ──────────────> ended      reported: result, error
       │           └──> interrupted ──> ended      reported before: terminated, hard limit; or handed back
       │                    └──> abandoned         swallows its cancellation
       └──> ended                                  handed back, terminated
"""

import asyncio
import enum
import os
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.exceptions import Reject

from hive.pools.body import Body, SoftLimitReached
from hive.pools.mailbox import Mailbox

#: Seconds the loop's own timer is given before a hard limit is reported without it.
LOOP_CHANCE_S = 0.05


class JobState(enum.Enum):
    """Where a job is; only the loop's thread changes it."""

    WAITING = "waiting"  # for a slot
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # cancelled by us: no longer its own to report
    ABANDONED = "abandoned"  # still running although cancelled; its slot is free
    ENDED = "ended"


class Job:
    """What the consumer gets for a task it hands to the pool, and what the loop works on.

    Args:
        target: Celery's tracing function, called for plain functions.
        args: its arguments: task name, id, request, body, content type and encoding.
        mailbox: where reports go.
        is_coroutine: whether the task runs on the loop.
        options: Celery's callbacks and limits in seconds, as ``BasePool.apply_async`` is given them.
    """

    __slots__ = (
        "__weakref__",
        "_accept",
        "_callback",
        "_error",
        "_hard_at_s",
        "_is_overdue",
        "_mailbox",
        "_on_interrupt",
        "_timeout",
        "_timers",
        "args",
        "body",
        "hard_s",
        "is_coroutine",
        "is_handed_back",
        "is_leaving",
        "soft_s",
        "state",
        "target",
        "task",
    )

    def __init__(
        self, target: Callable[..., Any], args: tuple[Any, ...], mailbox: Mailbox, *, is_coroutine: bool, **options: Any
    ) -> None:
        self.target, self.args = target, args
        self.is_coroutine = is_coroutine
        self.state = JobState.WAITING
        self.is_leaving = False
        self._is_overdue = False
        self._hard_at_s = float("inf")
        self.is_handed_back = False
        self.body: Body | None = None
        self.task: asyncio.Task[None] | None = None
        self.soft_s: float | None = options.get("soft_timeout")
        self.hard_s: float | None = options.get("timeout")
        self._accept = options.get("accept_callback")
        self._callback = options.get("callback")
        self._error = options.get("error_callback")
        self._timeout = options.get("timeout_callback")
        self._on_interrupt: Callable[[Job], None] = options["on_interrupt"]
        self._mailbox = mailbox
        self._timers: list[asyncio.TimerHandle] = []

    def __str__(self) -> str:
        name, task_id = self.args[:2]
        return f"task {name}[{task_id}]"

    @property
    def is_disowned(self) -> bool:
        """Whether its outcome was already reported by others, so that whatever the body still does is nobody's."""
        is_interrupted = self.state in {JobState.INTERRUPTED, JobState.ABANDONED}
        return self._is_overdue or (is_interrupted and not self.is_leaving)

    def terminate(self, signal: Any = None) -> None:  # noqa: ARG002 - a coroutine has no process to signal
        """Cancel the task, as Celery asks for at a revoke with terminate; safe from any thread, and to repeat."""
        self._on_interrupt(self)

    def accept(self, now_s: float) -> None:
        """Report that the body is about to run."""
        self.state = JobState.RUNNING
        self._report(self._accept, os.getpid(), now_s)

    def begin(self, body: Body, loop: asyncio.AbstractEventLoop) -> None:
        """Note that the body runs, and start its limits."""
        self.body = body
        if self.soft_s:
            self._timers.append(loop.call_later(self.soft_s, self._reach_soft_limit))
        if self.hard_s:
            self._hard_at_s = loop.time() + self.hard_s
            self._timers.append(loop.call_later(self.hard_s, self._reach_hard_limit))

    def leave_body(self) -> None:
        """Note that the body has ended: neither limits nor a terminate touch what follows."""
        self.body = None
        while self._timers:
            self._timers.pop().cancel()

    def interrupt(self) -> bool:
        """Cancel the body without a report; say whether there was one to cancel."""
        if self.state is not JobState.RUNNING or self.body is None:
            return False
        self.state = JobState.INTERRUPTED
        self.body.interrupt()
        return True

    def leave(self) -> None:
        """Cancel the body because the worker stops; it is handed back unless it ends well after all."""
        self.is_leaving = True
        self.interrupt()

    def hand_back(self) -> None:
        """Report that the message shall go to another worker, uncounted. A repeat does nothing."""
        if not self.is_handed_back and self.state is not JobState.ENDED:
            self.is_handed_back = True
            self._report(self._callback, (1, _handed_back(), 0.0))

    def finish(self, reply: tuple[int, Any, Any]) -> None:
        """Report the outcome: failed or not, the value or the error, and the run time in seconds."""
        if not self.is_handed_back:
            self._report(self._callback, reply)

    def fail(self, error: BaseException) -> None:
        """Report an error outside of the task's own."""
        self._report(self._error, exception_info(error))

    def _reach_soft_limit(self) -> None:
        if self.state is JobState.RUNNING and self.body is not None:
            self._report(self._timeout, True, self.soft_s)
            self.body.interrupt(SoftLimitReached())

    def look_at_limit(self, now_s: float) -> None:
        """Report the hard limit from the watching thread, as the loop cannot: the body keeps it from turning."""
        if now_s > self._hard_at_s + LOOP_CHANCE_S:
            self._reach_hard_limit()

    def _reach_hard_limit(self) -> None:
        if self.state is JobState.RUNNING and self.body is not None and not self._is_overdue:
            self._is_overdue = True
            self._report(self._timeout, False, self.hard_s)
            self._on_interrupt(self)

    def _report(self, callback: Callable[..., Any] | None, *args: Any) -> None:
        if callback is not None:
            self._mailbox.post(callback, *args)


def exception_info(error: BaseException, *, internal: bool = False) -> ExceptionInfo:
    """Return an error as Celery passes it on; it insists on a traceback."""
    if error.__traceback__ is None:
        try:
            raise error  # noqa: TRY301 - for the traceback
        except BaseException:
            return ExceptionInfo(internal=internal)
    return ExceptionInfo((type(error), error, error.__traceback__), internal=internal)


def _handed_back() -> ExceptionInfo:
    return exception_info(Reject("the worker stops", requeue=True), internal=True)
