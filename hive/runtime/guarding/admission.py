"""Admission: the one place where a task's guards are asked, after its message was read and before it takes a slot.

The gate asks here for each task it is about to start, so a task that waited in the worker while a breaker opened does not
slip through. Only tasks that declare guards, or carry a deadline, pay for it; all others cost one look-up.

====================== ============================================================================================
what the guards say    what happens
====================== ============================================================================================
run, all of them       the task takes a slot; each guard is told how it ended
wait, one of them      its message goes to the broker's scheduled set until then: no start, no attempt, no slot
refuse, one of them    the task's fallback is its result (:mod:`hive.runtime.results.fallback`); without one it waits likewise,
                       or fails if nobody can say until when
past its deadline      as refused, for ever; nor does it wait longer than that
====================== ============================================================================================

Whoever guards something else adds a function to :data:`SOURCES` that finds a task's guards by what the task declares.
"""

import logging
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Retry
from celery.worker import state
from kombu.exceptions import OperationalError

from hive.clock import Clock, SystemClock
from hive.deadletter.history import DEADLINE
from hive.errors import BrokerError
from hive.guards.fallback import Fallback
from hive.guards.guard import AgentWait, Answer, Guard, GuardedCall, Verdict
from hive.runtime.calling.deadline import DEADLINE_GUARD
from hive.runtime.durable.run import has_begun
from hive.runtime.durable.task import AGENT
from hive.runtime.guarding.agent_guard import AgentGuard
from hive.runtime.guarding.dependencies import breaker_guards
from hive.runtime.guarding.limited import limits_of
from hive.runtime.guarding.needing import booked_needs
from hive.runtime.results.fallback import FALLBACK_TASK, MARK, REFUSAL, Refusal, sources_of
from hive.store.lifecycles import where_of
from hive.telemetry.events import GuardRefused, fields_of
from hive.transport.envelope import fair_of

logger = logging.getLogger(__name__)

#: What finds the guards that a task declares: called once for each task and process, with application and task.
#: Limits come last: what they grant is used, even if another guard says no after them.
SOURCES: tuple[Callable[[Any, Any], Sequence[Guard]], ...] = (breaker_guards, booked_needs, limits_of)


class Passage:
    """What guards gave one task, until they are told how it ended or take it back; the first of both counts.

    Args:
        call: the task.
        guards: those that let it run.
    """

    def __init__(self, call: GuardedCall, guards: Sequence[Guard]) -> None:
        self._call = call
        self._guards = guards

    def ended(self, error: BaseException | None) -> None:
        """Tell the guards how the task ended; what the body of a retry raised counts, not the retry."""
        cause = error.exc if isinstance(error, Retry) and isinstance(error.exc, BaseException) else error
        for guard in self._take():
            guard.ended(self._call, cause)

    def release(self) -> None:
        """Tell the guards that the task never ran, or that nobody knows how it ended."""
        for guard in self._take():
            guard.release(self._call)

    def _take(self) -> Sequence[Guard]:
        taken, self._guards = self._guards, ()
        return taken


class Admission:
    """Asks the guards of tasks, and sees to those that may not run now.

    Args:
        app: whose tasks they are.
        clock: for deadlines.
    """

    def __init__(self, app: Any, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._guards: dict[str, tuple[Guard, ...]] = {}
        self._agents = AgentGuard(app, app.agents.sleeper)
        #: Of requests that were collected before they ended; guards are told by :meth:`release_abandoned`.
        self._abandoned: deque[Passage] = deque()
        app.circuits.before_round = self.release_abandoned

    def dismiss(self, request: Any) -> None:
        """Take back what guards gave a task that begins elsewhere, if it begins. A repeat does nothing."""
        passage = request.__dict__.get("passage")
        if passage is not None:
            passage.release()

    def release_abandoned(self) -> None:
        """Take back what guards gave requests that never ended: revoked, lost with the lease, handed back."""
        while self._abandoned:
            try:
                passage = self._abandoned.popleft()
            except IndexError:
                # Another thread has just taken the last one.
                return
            passage.release()

    def admits(self, request: Any) -> bool:
        """Whether a task is to take a slot now; if not, its message waits on the broker and the worker forgets it.

        May be asked again for the same task if its start could not be recorded.
        """
        headers = request.request_dict
        guards = self._guards_of(headers["task"])
        if isinstance(headers.get(AGENT), str):
            # First: a task that waits for its agent is to hold nothing else meanwhile.
            guards = (self._agents, *guards)
        if not guards and DEADLINE not in headers:
            return True
        self.release_abandoned()
        _forget_passage(request)
        refused = Fallback.of_header(headers.get(MARK))
        if refused is not None:
            guards = tuple(guard for guard in guards if guard.name != refused.guard)
        verdict = self._ask(request, guards)
        if verdict.answer is Answer.RUN:
            return True
        if verdict.agent is not None:
            self._wait_for_agent(request, verdict, verdict.agent)
            return False
        sources = sources_of(request.task, headers)
        if verdict.due_ms is None or (sources and verdict.answer is Answer.REFUSE):
            self._degrade(request, verdict)
            return True
        self._postpone(request, verdict, verdict.due_ms)
        return False

    def _guards_of(self, name: str) -> tuple[Guard, ...]:
        guards = self._guards.get(name)
        if guards is None:
            task = self._app.tasks[name]
            guards = self._guards[name] = tuple(guard for find in SOURCES for guard in find(self._app, task))
        return guards

    def _ask(self, request: Any, guards: Sequence[Guard]) -> Verdict:
        headers = request.request_dict
        deadline_ms = headers.get(DEADLINE)
        is_late = isinstance(deadline_ms, int) and deadline_ms <= self._clock.wall_ms()
        if is_late and not has_begun(self._app, request.task, request.id):
            return Verdict(answer=Answer.REFUSE, guard=DEADLINE_GUARD, reason="its deadline has passed")
        call, verdict = _call_of(request), Verdict(answer=Answer.RUN)
        passed: list[Guard] = []
        passage = Passage(call, passed)
        for guard in guards:
            try:
                verdict = _answer(guard, call)
            except BaseException:
                passage.release()
                raise
            if verdict.answer is not Answer.RUN:
                break
            passed.append(guard)
        if verdict.answer is Answer.RUN:
            if passed:
                _attach(request, passage)
                # Not released in the finalizer: the collector may run in the midst of anything, a guard's own lock held.
                weakref.finalize(request, self._abandoned.append, passage).atexit = False
            return verdict
        passage.release()
        return _by_deadline(verdict, deadline_ms)

    def _degrade(self, request: Any, verdict: Verdict) -> None:
        """Have the task's fallback run in its place, in the same slot, under its id; or the error if it has none."""
        refusal = Refusal(guard=verdict.guard, reason=verdict.reason, due_ms=verdict.due_ms)
        request.request_dict[REFUSAL] = refusal.as_header()
        request._type = FALLBACK_TASK
        self._tell(request, verdict, "fallback" if sources_of(request.task, request.request_dict) else "fail")

    def _postpone(self, request: Any, verdict: Verdict, due_ms: int) -> None:
        message = request.message
        message.is_set_aside = True
        state.task_ready(request)
        fair = fair_of(request.request_dict)
        message.channel.qos.reschedule(message.delivery_tag, message.fence["message"], due_ms, fair)
        self._tell(request, verdict, "wait")

    def _wait_for_agent(self, request: Any, verdict: Verdict, wait: AgentWait) -> None:
        message = request.message
        message.is_set_aside = True
        state.task_ready(request)
        message.channel.qos.wait_for_agent(
            message.delivery_tag, message.fence["message"], wait, fair_of(request.request_dict)
        )
        self._tell(request, verdict, "wait")

    def _tell(self, request: Any, verdict: Verdict, action: str) -> None:
        logger.debug("task %s[%s]: %s (%s: %s)", request.name, request.id, action, verdict.guard, verdict.reason)
        event = GuardRefused(
            guard=verdict.guard,
            action=action,
            queue=request.message.fence["queue"],
            task=request.name,
            due_ms=verdict.due_ms,
        )
        request.send_event(event.name, **fields_of(event))


def _answer(guard: Guard, call: GuardedCall) -> Verdict:
    """Ask a guard; one that fails refuses the task, which says why, and the worker goes on.

    Raises:
        BrokerError: the broker is away; the task is asked for again.
        OperationalError: likewise.
    """
    try:
        return guard.ask(call)
    except (BrokerError, OperationalError):
        raise
    except Exception as error:
        logger.exception("the guard %s of task %s failed", guard.name, call.task)
        return Verdict(answer=Answer.REFUSE, guard=guard.name, reason=f"it failed: {type(error).__name__}: {error}")


def _by_deadline(verdict: Verdict, deadline_ms: Any) -> Verdict:
    """Have a task not wait past its deadline: refused at once if it has a fallback, at the deadline if it has none."""
    if not isinstance(deadline_ms, int) or verdict.due_ms is None or verdict.due_ms < deadline_ms:
        return verdict
    return replace(verdict, answer=Answer.REFUSE, due_ms=deadline_ms, reason=f"{verdict.reason}, past its deadline")


def _call_of(request: Any) -> GuardedCall:
    headers, args, kwargs = request.request_dict, request.args, request.kwargs
    fence = request.message.fence
    return GuardedCall(
        id=request.id,
        task=headers["task"],
        queue=fence["queue"],
        retries=headers.get("retries") or 0,
        headers=headers,
        # Not the request itself, which must be collected once nobody else has it.
        arguments=lambda: (args, kwargs),
        message_id=fence["message"],
        where=where_of(fence["queue"], fence["consumer"], fence["token"]),
    )


def _attach(request: Any, passage: Passage) -> None:
    """Have the passage told how the request ends."""

    def succeeded(reply: Any, **kwargs: Any) -> Any:
        failed, value, _ = reply
        passage.ended(_error_of(value) if failed else None)
        _detach(request)
        return request.on_success(reply, **kwargs)

    def failed(exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        passage.ended(_error_of(exc_info))
        _detach(request)
        return request.on_failure(exc_info, *args, **kwargs)

    def timed_out(soft: bool, timeout: float) -> Any:
        if not soft:
            passage.ended(TimeoutError(f"hard time limit of {timeout:g} s exceeded"))
            _detach(request)
        return type(request).on_timeout(request, soft, timeout)

    request.passage = passage
    request.on_success, request.on_failure, request.on_timeout = succeeded, failed, timed_out


def _detach(request: Any) -> None:
    for name in ("on_success", "on_failure", "on_timeout", "passage"):
        request.__dict__.pop(name, None)


def _forget_passage(request: Any) -> None:
    """Begin anew with a request that was asked for before: its start could not be recorded."""
    request._type = request.request_dict["task"]
    request.request_dict.pop(REFUSAL, None)
    passage = request.__dict__.get("passage")
    if passage is not None:
        _detach(request)
        passage.release()


def _error_of(exc_info: Any) -> BaseException:
    error: BaseException = exc_info.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error
