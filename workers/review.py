"""A review over the pools: its steps are sent to their agent types' queues like any user's tasks, and gathered.

A step that fails, runs into its time limit or never comes back costs its unit and is said to have done so; the others go
on. An interrupt takes back what waits, and what has come in until then is kept.
"""

import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery import states
from celery.exceptions import TimeoutError  # noqa: A004 - Celery's, which is no OSError
from celery.result import AsyncResult
from kombu.exceptions import OperationalError
from pydantic import ValidationError

from hive import Hive, HiveError, SystemClock
from workers.findings import Outcome, Run
from workers.steps import Course, Ended, State, Step, Watch
from workers.task import REVIEW

#: Seconds between two looks at the results.
POLL_S = 0.2

#: Looking takes at most this share of the time, so that thousands of waiting steps do not keep a core busy.
POLL_SHARE = 0.1

#: Seconds that running steps may take to end once they are revoked; what has not ended then is left to itself.
REVOKE_S = 1.0

#: Seconds beyond an agent type's time limit without a sign of its steps after which those that wait count as lost.
STALL_MARGIN_S = 60.0


class TaskFailedError(HiveError):
    """A task failed, or gave no answer in the time it had."""


class Review:
    """One review over the pools of an application.

    Args:
        app: the application whose broker and workers are used.
        steps: the plan.
        watch: who is told how it goes on.
        margin_s: seconds beyond its time limit after which an agent type without a sign of life is given up.
    """

    def __init__(self, app: Hive, steps: Sequence[Step], watch: Watch, margin_s: float = STALL_MARGIN_S) -> None:
        self._app, self._steps, self._watch, self._margin_s = app, steps, watch, margin_s
        self._id = str(uuid.uuid4())
        self._clock = SystemClock()
        self._outages = tuple(app.connection_for_read().connection_errors)
        self._waiting: dict[int, AsyncResult] = {}
        self._moved_at_s: dict[str, float] = {}
        self._started: dict[int, Run] = {}
        self._ended: dict[int, Ended] = {}

    def run(self) -> Course:
        """Send all steps and wait for their ends, or for an interrupt (``KeyboardInterrupt``)."""
        self._watch.planned(self._steps)
        interrupted = False
        try:
            self._send_all()
            self._gather()
        except KeyboardInterrupt:
            interrupted = True
            self._take_back()
        return Course(ended=tuple(self._ended[number] for number in sorted(self._ended)), interrupted=interrupted)

    def _send_all(self) -> None:
        """Send the steps; what the broker does not take is lost, and what it took before is waited for."""
        for number, step in enumerate(self._steps):
            try:
                self._waiting[number] = self._send(step)
            except (OperationalError, *self._outages) as exc:
                return self._not_taken(number, exc)
            except RuntimeError as exc:
                # What Celery's Redis backend makes of an outage while it subscribes to the result.
                if not isinstance(exc.__cause__, self._outages):
                    raise
                return self._not_taken(number, exc.__cause__)
        return None

    def _not_taken(self, first: int, error: BaseException) -> None:
        """Count as lost this step and all that follow it."""
        for number in range(first, len(self._steps)):
            self._ended[number] = self._failed(number, State.LOST, f"the broker did not take it: {one_line(error)}")
            self._watch.ended(self._ended[number])

    def _send(self, step: Step) -> AsyncResult:
        limits = self._app.agent_types[step.agent]
        return step.task.apply_async(
            (step.unit,),
            step.arguments,
            time_limit=limits.time_limit_s,
            soft_time_limit=limits.soft_time_limit_s,
            headers={REVIEW: self._id},
        )

    def _gather(self) -> None:
        """Look at what waits until nothing does."""
        pause = threading.Event()
        sent_at_s = self._clock.monotonic_s()
        self._moved_at_s = {step.agent: sent_at_s for step in self._steps}
        while self._waiting:
            looked_at_s = self._clock.monotonic_s()
            try:
                self._look()
                self._give_up_silent()
            except self._outages as exc:
                self._lose(list(self._waiting), f"the broker went away: {one_line(exc)}")
            took_s = self._clock.monotonic_s() - looked_at_s
            if self._waiting:
                pause.wait(max(POLL_S, took_s * (1 / POLL_SHARE - 1)))

    def _look(self) -> None:
        """Take in what has started and what has ended."""
        for number, result in list(self._waiting.items()):
            meta = result.backend.get_task_meta(result.id)
            if meta["status"] in states.READY_STATES:
                self._end(number, self._verdict(number, result))
            elif meta["status"] == states.STARTED and number not in self._started:
                self._started[number] = self._start(meta)
                self._moved_at_s[self._steps[number].agent] = self._clock.monotonic_s()
        running = Counter(self._steps[number].agent for number in self._started if number in self._waiting)
        self._watch.running(dict(running))

    def _give_up_silent(self) -> None:
        """Count as lost what waits for agent types that gave no sign for longer than a step of theirs may take."""
        now_s = self._clock.monotonic_s()
        for agent, moved_at_s in self._moved_at_s.items():
            limit_s = self._app.agent_types[agent].time_limit_s + self._margin_s
            numbers = [number for number in self._waiting if self._steps[number].agent == agent]
            if numbers and now_s - moved_at_s > limit_s:
                self._revoke(numbers)
                self._lose(numbers, f"its pool gave no sign for {limit_s:.0f} s")

    def _start(self, meta: dict[str, Any]) -> Run:
        told = meta["result"] if isinstance(meta["result"], dict) else {}
        now_ms = self._clock.wall_ms()
        return Run(
            worker=str(told.get("hostname", "")),
            pid=int(told.get("pid", 0)),
            started_at_ms=now_ms,
            finished_at_ms=now_ms,
        )

    def _verdict(self, number: int, result: AsyncResult) -> Ended:
        step, state, value = self._steps[number], result.state, result.result
        if state == states.SUCCESS:
            try:
                outcome = Outcome.model_validate(value)
            except ValidationError as exc:
                return self._failed(number, State.FAILED, f"its answer is no outcome: {exc.error_count()} errors")
            return Ended(step=step, state=State.DONE, outcome=outcome, run=outcome.run)
        if state == states.REVOKED:
            return self._failed(number, State.REVOKED, "it was revoked")
        limits = self._app.agent_types[step.agent]
        if isinstance(value, SoftTimeLimitExceeded):
            reason = f"it ran longer than {limits.soft_time_limit_s:g} s and was told to end"
            return self._failed(number, State.TIMED_OUT, reason, result)
        if isinstance(value, TimeLimitExceeded):
            reason = f"it ran longer than {limits.time_limit_s:g} s and was ended"
            return self._failed(number, State.TIMED_OUT, reason, result)
        return self._failed(number, State.FAILED, one_line(value), result)

    def _failed(self, number: int, state: State, reason: str, result: AsyncResult | None = None) -> Ended:
        run = self._started.get(number)
        done_at = result.date_done if result is not None else None
        if run is not None and isinstance(done_at, datetime):
            run = run.model_copy(update={"finished_at_ms": int(done_at.timestamp() * 1000)})
        return Ended(step=self._steps[number], state=state, reason=reason, run=run)

    def _end(self, number: int, ended: Ended) -> None:
        result = self._waiting.pop(number)
        if ended.state is State.LOST:
            # Else its destructor talks to a broker that may be gone.
            result.backend = None
        else:
            result.forget()
        self._ended[number] = ended
        self._moved_at_s[ended.step.agent] = self._clock.monotonic_s()
        self._watch.ended(ended)

    def _lose(self, numbers: Sequence[int], reason: str) -> None:
        for number in numbers:
            self._end(number, self._failed(number, State.LOST, reason))

    def _revoke(self, numbers: Sequence[int], *, running: bool = False) -> None:
        self._app.control.revoke([self._waiting[number].id for number in numbers], terminate=running)

    def _take_back(self) -> None:
        """Take in what has ended, then end what runs and revoke what waits; a further interrupt leaves it at that.

        Running steps are waited for a moment, so that a pool that is about to stop has not to wait for them.
        """
        with suppress(KeyboardInterrupt, OperationalError, *self._outages):
            # Workers remember what is revoked for as long as they live; steps that stay in a queue find this there.
            self._app.backend.store_result(self._id, None, states.REVOKED)
            self._look()
            self._revoke(list(self._waiting), running=True)
            deadline_s = self._clock.monotonic_s() + REVOKE_S
            pause = threading.Event()
            while not self._are_revoked() and self._clock.monotonic_s() < deadline_s:
                pause.wait(POLL_S / 4)
        for number, step in enumerate(self._steps):
            began = "while it ran" if number in self._started else "before it began"
            ended = Ended(
                step=step,
                state=State.REVOKED,
                reason=f"the review was stopped {began}",
                run=self._started.get(number),
            )
            if number in self._waiting:
                self._end(number, ended)
            else:
                self._ended.setdefault(number, ended)

    def _are_revoked(self) -> bool:
        """Whether the pools have ended all that ran."""
        running = [self._waiting[number] for number in self._started if number in self._waiting]
        return all(result.backend.get_task_meta(result.id)["status"] in states.READY_STATES for result in running)


def one_line(error: object) -> str:
    """Return an error as one short line."""
    name = type(error).__name__
    text = " ".join(str(error).split())
    return f"{name}: {text}"[:400] if text else name


def await_answer(app: Hive, task: Any, arguments: Sequence[Any]) -> Any:
    """Call a task and return what it returns; an interrupt takes it back.

    Raises:
        TaskFailedError: it failed, or gave no answer within the time limit of its agent type and a margin.
    """
    timeout_s = app.agent_types[task.agent_type].time_limit_s + STALL_MARGIN_S
    result = task.delay(*arguments)
    try:
        result.get(timeout=timeout_s, interval=POLL_S, propagate=False)
        return returned(task, result)
    except KeyboardInterrupt:
        result.revoke(terminate=True)
        raise
    except TimeoutError as exc:
        result.revoke()
        raise TaskFailedError(
            f"{task.name} gave no answer within {timeout_s:g} s: `hive status` shows what its pool does"
        ) from exc
    finally:
        result.forget()


def returned(task: Any, result: Any) -> Any:
    """Return what a task returned that has ended.

    Raises:
        TaskFailedError: it failed.
    """
    if not result.successful():
        raise TaskFailedError(f"{task.name} failed: {one_line(result.result)}")
    return result.result
