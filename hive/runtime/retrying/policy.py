"""What follows the failure of a task with a retry strategy: another attempt, or the failure with its cause.

A task has the strategy it was declared with (``@app.task(retry=...)``), else that of its agent type, else none: then all is
as in Celery. ``autoretry_for`` comes first for what it names, and a task that calls ``self.retry()`` has decided by itself.

=============================== ===============================================================================
the strategy says               what happens
=============================== ===============================================================================
retry                           the delivery ends and the next attempt is scheduled on the broker, in one step
retry, of another worker's bug  poison, a dead letter: it would fail again (:mod:`hive.runtime.retrying.same_failure`)
no, the cause forbids it        the failure is the result; its traceback ends with the cause; poison is a dead letter too
no, retries or deadline done    the same; a dead letter too if the strategy says ``dead_letter=True``
=============================== ===============================================================================

Each time the event ``hive-failure`` tells cause, wait and grounds. A failure that the result backend stores as the outcome
stays a failure where the message is a dead letter besides: a redrive gives it another outcome.
"""

import logging
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celery import signals
from celery.exceptions import Ignore, Reject, Retry
from kombu.exceptions import OperationalError

from hive.clock import Clock, SystemClock
from hive.deadletter.history import DEADLINE, RETRY
from hive.deadletter.poison import Reason
from hive.errors import BrokerError, SettingsError, suggestion
from hive.resilience.adaptive import bin_of
from hive.resilience.causes import Cause, CauseTable, classify
from hive.resilience.declaration import strategy_of
from hive.resilience.failure import Decision, Failure
from hive.resilience.retry_after import retry_after_s
from hive.resilience.strategies import AdaptiveRetry, BatchedRetry, RetryStrategy
from hive.runtime.delivery.fence import Fence
from hive.runtime.results.condemning import condemn
from hive.runtime.retrying.ledger import RetryLedger
from hive.runtime.retrying.record import RetryRecord
from hive.runtime.retrying.same_failure import kind_of
from hive.store.values import Outgoing
from hive.telemetry.events import TaskFailed, fields_of

logger = logging.getLogger(__name__)

#: Attributes of a request: when the attempt began (ms), and that what follows its failure is decided.
_BEGAN, _DECIDED = "hive_began_ms", "hive_decided"

#: Another: that the attempt before failed on another worker in the same way.
_SAME = "hive_same_failure"


class RetryPolicy:
    """Answers the failures of an application's tasks; one for each application, used by all its threads.

    Args:
        app: whose tasks they are.
        clock: for the time since the first failure.
        source: draws jitter and chances; seeded by the system if not given.

    Raises:
        SettingsError: ``retries.causes`` names a cause that is none, or an agent type a strategy that is none.
    """

    def __init__(self, app: Any, clock: Clock | None = None, source: random.Random | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._random = source or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._ledger = RetryLedger(app, self._clock)
        self._is_listening = False
        known = {cause.value for cause in Cause}
        for name, cause in app.settings.retries.causes.items():
            if cause not in known:
                raise SettingsError(f"retries.causes.{name}: there is no cause {cause!r}{suggestion(cause, known)}")
        for agent_type in app.agent_types.values():
            if agent_type.retry:
                strategy_of(agent_type.retry)

    def adopt(self, declared: Any, agent_type: Any) -> RetryStrategy | None:
        """Return a task's strategy, and from now on follow how tasks end.

        Args:
            declared: what it was declared with; ``None``: nothing, ``False``: no strategy whatever its agent type has.
            agent_type: of the task, or ``None``.

        Raises:
            SettingsError: there is no such strategy.
        """
        chosen = declared if declared is not None else getattr(agent_type, "retry", None)
        if not chosen:
            return None
        strategy = strategy_of(chosen)
        if not self._is_listening:
            self._is_listening = True
            name = f"hive-retries-{id(self._app)}"
            signals.task_prerun.connect(self._began, weak=False, dispatch_uid=name)
            signals.task_success.connect(self._succeeded, weak=False, dispatch_uid=name)
        return strategy

    def answer(self, task: Any, error: Exception) -> Exception:
        """Return what stands for the outcome of a failed attempt.

        That is a Retry (or, if it could not be published, the Reject or Ignore in its place), else ``error`` itself. Asked
        a second time for the same attempt, or by a caller of his own, it changes nothing.
        """
        strategy, request = task.retry_strategy, task.request
        is_control = isinstance(error, Ignore | Reject | Retry)
        if strategy is None or is_control or request.called_directly or hasattr(request, _DECIDED):
            return error
        setattr(request, _DECIDED, True)
        failure, record = self._failure(task, strategy, error)
        self._learn(task, strategy, done=False)
        decision = self._decide(strategy, failure, request)
        if decision.delay_s is None:
            return self._give_up(task, strategy, failure, decision, error)
        return self._retry(task, failure, decision, record, error)

    def decided(self, request: Any) -> None:
        """Note that a task has called ``retry`` itself."""
        setattr(request, _DECIDED, True)

    def _failure(self, task: Any, strategy: RetryStrategy, error: Exception) -> tuple[Failure, RetryRecord]:
        request, now_ms = task.request, self._clock.wall_ms()
        table: CauseTable = {**self._app.settings.retries.causes, **strategy.causes}
        cause = classify(error, table)
        before = RetryRecord.of(request)
        failed_ms, worker = before.failed_ms if before else now_ms, request.hostname or ""
        record = RetryRecord(failed_ms=failed_ms, cause=cause, kind=kind_of(error), worker=worker)
        if cause is Cause.BUG and record.is_same_elsewhere(before):
            cause = Cause.POISON
            error.add_note(f"the same failure on two workers: {before.worker if before else ''} and {worker}")
            setattr(request, _SAME, True)
        delivery: Mapping[str, Any] = request.delivery_info or {}
        failure = Failure(
            task=task.name,
            cause=cause,
            retries=request.retries or 0,
            elapsed_s=max(now_ms - record.failed_ms, 0) / 1000,
            priority=delivery.get("priority") or 0,
            retry_after_s=retry_after_s(error, now_ms),
        )
        return failure, record

    def _decide(self, strategy: RetryStrategy, failure: Failure, request: Any) -> Decision:
        outcomes = None
        if isinstance(strategy, AdaptiveRetry) and not request.is_eager:
            outcomes = self._ledger.outcomes(failure.task, failure.cause)
        decision = strategy.decide(failure, self._random, outcomes)
        if decision.delay_s is None or strategy.budget is None or request.is_eager:
            return self._within_deadline(decision, request)
        owed_s = self._ledger.draw(_account(failure.task, strategy), strategy.budget)
        if owed_s > decision.delay_s:
            spread_s = owed_s * (1 + strategy.jitter * 0.1 * self._random.random())
            decision = replace(decision, delay_s=spread_s, why=f"{decision.why}; the budget has room in {owed_s:.3g} s")
        if strategy.deadline_s is not None and failure.elapsed_s + (decision.delay_s or 0) > strategy.deadline_s:
            why = f"{decision.why}, past the deadline of {strategy.deadline_s:g} s"
            decision = Decision(delay_s=None, why=why, is_exhausted=True)
        return self._within_deadline(decision, request)

    def _within_deadline(self, decision: Decision, request: Any) -> Decision:
        """Make no attempt that a guard would refuse because the call's own deadline has passed by then."""
        deadline_ms = (request.headers or {}).get(DEADLINE)
        if decision.delay_s is None or not isinstance(deadline_ms, int):
            return decision
        if self._clock.wall_ms() + decision.delay_s * 1000 < deadline_ms:
            return decision
        return Decision(delay_s=None, why=f"{decision.why}; past the call's deadline", is_exhausted=True)

    def _retry(
        self, task: Any, failure: Failure, decision: Decision, record: RetryRecord, error: Exception
    ) -> Exception:
        request = task.request
        record = replace(record, bin=decision.cell[0] if decision.cell else None)
        options: dict[str, Any] = {
            "countdown": decision.delay_s,
            "headers": {**(request.headers or {}), RETRY: record.header()},
            "max_retries": failure.retries + 1,
        }
        if isinstance(task.retry_strategy, BatchedRetry):
            options["booking"] = lambda message: self._park(task, failure, request, message)
        self._tell(task, failure, decision)
        try:
            task.retry(exc=error, **options)
        except Exception as outcome:
            return outcome
        finally:
            # Celery keeps the number for its own wrapper, where it would be the next attempt's too.
            vars(task).pop("override_max_retries", None)
        return error

    def _park(self, task: Any, failure: Failure, request: Any, message: Outgoing) -> Outgoing:
        """Give a retry that waits for its dependency its time on the broker."""
        strategy, fence = task.retry_strategy, Fence.of(request)
        if fence is None or failure.retry_after_s is not None:
            return message
        probe_s = min(strategy.wait_s(failure), strategy.cap_s)
        dependency = _dependency(task.name, strategy, failure.cause)
        left_s = (strategy.deadline_s or float("inf")) - failure.elapsed_s
        parked = self._ledger.park(
            dependency,
            strategy,
            fence.message,
            message,
            probe_s=probe_s,
            hold_s=max(min(strategy.hold_s, left_s), probe_s),
        )
        return message if parked is None else replace(message, due_ms=parked.due_ms)

    def _give_up(
        self, task: Any, strategy: RetryStrategy, failure: Failure, decision: Decision, error: Exception
    ) -> Exception:
        error.add_note(f"no retry, cause {decision.why}")
        self._tell(task, failure, decision)
        if failure.cause is Cause.POISON:
            reason = Reason.SAME_FAILURE if hasattr(task.request, _SAME) else Reason.POISON
            self._set_aside(task, reason, failure, error)
        elif decision.is_exhausted and strategy.dead_letter:
            self._set_aside(task, Reason.RETRIES_EXHAUSTED, failure, error)
        return error

    def _set_aside(self, task: Any, reason: Reason, failure: Failure, error: Exception) -> None:
        condemn(task, reason, f"{failure.cause}: {type(error).__name__}: {error}", error)

    def _tell(self, task: Any, failure: Failure, decision: Decision) -> None:
        request = task.request
        event = TaskFailed(
            task=failure.task,
            cause=failure.cause,
            retries=failure.retries,
            delay_s=decision.delay_s,
            strategy=task.retry_strategy.name,
            why=decision.why,
        )
        then = "fails" if decision.delay_s is None else f"is retried in {decision.delay_s:.3g} s"
        logger.info("task %s[%s] %s: %s", failure.task, request.id, then, decision.why)
        if request.is_eager or not self._app.conf.worker_send_task_events:
            return
        try:
            task.send_event(event.name, retry=False, **fields_of(event))
        except (BrokerError, OperationalError) as lost:
            logger.warning("the event of the failure of task %s[%s] is lost: %s", failure.task, request.id, lost)

    def _learn(self, task: Any, strategy: RetryStrategy, *, done: bool) -> None:
        """Note what became of the retry that this attempt was, if it was one that an adaptive strategy chose."""
        request = task.request
        record = RetryRecord.of(request)
        if record is None or not isinstance(strategy, AdaptiveRetry) or request.is_eager:
            return
        began_ms = getattr(request, _BEGAN, self._clock.wall_ms())
        cell = record.cell(bin_of(max(began_ms - record.failed_ms, 0) / 1000))
        if cell is not None:
            self._ledger.learn(task.name, record.cause, cell, done=done)

    def _began(self, sender: Any, **_: Any) -> None:
        strategy = self._strategy_of(sender)
        if strategy is None:
            return
        request = sender.request
        setattr(request, _BEGAN, self._clock.wall_ms())
        if strategy.budget is not None and not request.retries:
            self._ledger.attempted(_account(sender.name, strategy))
        if isinstance(strategy, BatchedRetry) and not request.is_eager and (record := RetryRecord.of(request)):
            self._ledger.begun(_dependency(sender.name, strategy, record.cause), strategy)

    def _succeeded(self, sender: Any, **_: Any) -> None:
        strategy = self._strategy_of(sender)
        if strategy is None or sender.request.is_eager:
            return
        self._learn(sender, strategy, done=True)
        if isinstance(strategy, BatchedRetry):
            record = RetryRecord.of(sender.request)
            for cause in (record.cause,) if record else () if strategy.dependency is None else ("",):
                dependency = _dependency(sender.name, strategy, cause)
                self._ledger.answered(dependency, strategy, is_retry=record is not None)

    def _strategy_of(self, sender: Any) -> RetryStrategy | None:
        return getattr(sender, "retry_strategy", None) if getattr(sender, "app", None) is self._app else None


def _account(task: str, strategy: RetryStrategy) -> str:
    budget = strategy.budget
    return (budget.dependency if budget else None) or f"task {task}"


def _dependency(task: str, strategy: BatchedRetry, cause: str) -> str:
    """Return who waits together: all that call a dependency, else a task's failures of one cause."""
    return strategy.dependency or f"task {task} {cause}"
