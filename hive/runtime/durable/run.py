"""The run of a durable task, as its present delivery may go on with it."""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from celery.exceptions import Ignore

from hive.agents.lifecycle import AgentState
from hive.errors import InputError
from hive.runtime.delivery.fence import Fence
from hive.runtime.durable.direct_run import DirectRun, Step
from hive.runtime.durable.task import (
    AGENT,
    ANSWER,
    RUN,
    Durable,
    DurableError,
    EventTimeoutError,
    Parked,
    StepUnknownError,
    Written,
)
from hive.store.faults import BrokerGoneError
from hive.store.run_values import Begun, Park, Place, StepBegin
from hive.store.store import Store
from hive.store.values import Outcome
from hive.transport.envelope import fair_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Begins the name of a wait, so that no step is taken for it.
WAIT = "~"


class Run:
    """Begins and ends steps, and parks, for the delivery a task runs for.

    Args:
        app: the application.
        request: of the running task.
        declared: what the task declares.

    Raises:
        DurableError: the delivery ended before the body began (``acks_late=False``), or did not come through hive.
    """

    def __init__(self, app: Any, request: Any, declared: Durable) -> None:
        fence = Fence.of(request)
        if fence is None:
            raise DurableError(
                f"task {request.id} has no delivery to go on with: durable tasks need acks_late and a "
                "broker of hive's transport"
            )
        self._app, self._fence, self._declared = app, fence, declared
        self.task_id: str = request.id
        self._agent: str = getattr(request, AGENT, None) or ""
        self._fair = fair_of(getattr(request, "headers", None) or {})
        self._counts: Counter[str] = Counter()
        self._written = Written(app.conf.result_serializer, app.settings.delivery.max_message_bytes)

    def named(self, name: str) -> Step:
        """Return the next step of a name; the order of calls tells steps of the same name apart.

        Raises:
            InputError: there is no such name.
        """
        if not isinstance(name, str) or not 0 < len(name) <= 200 or name.startswith(WAIT):
            raise InputError(
                f"a step has a name of 1 to 200 characters that does not begin with {WAIT!r}, not {name!r}"
            )
        return self._step(name)

    def begin(self, step: Step, on_unknown: str | None = None) -> Step:
        """Begin a step, or return it with its result if it is done.

        Raises:
            Ignore: the delivery is another worker's now; or the task is parked (:class:`Parked`): its agent is about to
                sleep, or an operator is asked about the step.
            StepUnknownError: it was in flight when its worker died, and so it is declared.
        """
        begun = self._begin(step)
        if begun.begun is Begun.DONE:
            return Step(name=step.name, key=step.key, is_done=True, value=self._written.decode(begun.result))
        if begun.begun is not Begun.UNKNOWN:
            return step
        policy = on_unknown or self._declared.on_unknown
        if policy == "ask":
            return self._asked(step)
        if policy == "fail":
            raise StepUnknownError(self.task_id, step.name)
        self._begin(step, again=True)
        return step

    def end(self, step: Step, value: Any) -> Any:
        """Keep what a step returned, and return it as its record will give it back.

        Raises:
            Ignore: the delivery is another worker's now, and nothing was kept.
            MessageTooLargeError: it is too long; the step counts as failed.
            kombu.exceptions.EncodeError: it cannot be written; the step counts as failed.
        """
        try:
            written = self._written.encode(value, self._fence.queue)
        except Exception:
            self.failed(step)
            raise
        self._end(step, written)
        return self._written.decode(written)

    def failed(self, step: Step) -> None:
        """Forget that a step began: it has ended, without a result.

        Raises:
            Ignore: the delivery is another worker's now.
        """
        self._end(step, None)

    def sleep(self, *, until: datetime | None, for_s: float | None) -> None:
        """Return if the time is over, else park.

        Raises:
            Parked: it is not.
            InputError: not one of both is given, or the time has no zone.
        """
        if (until is None) == (for_s is None) or (until is not None and until.tzinfo is None):
            raise InputError("sleep takes either until=, a time with a zone, or for_s=, seconds")
        due_ms = None if until is None else round(until.timestamp() * 1000)
        self._wait(self._step(f"{WAIT}sleep"), "", due_ms=due_ms, wait_s=for_s)

    def wait_for(self, event: str, timeout_s: float | None) -> Any:
        """Return what came with a signal, or park until it comes.

        Raises:
            Parked: it has not come.
            EventTimeoutError: it did not come in time.
        """
        if not event or event.startswith(ANSWER):
            raise InputError(f"an event has a name that does not begin with {ANSWER!r}, not {event!r}")
        payload = self._wait(self._step(f"{WAIT}{event}"), event, wait_s=timeout_s)
        if not payload:
            raise EventTimeoutError(event)
        return self._written.decode(payload)

    def _asked(self, step: Step) -> Step:
        """Wait for the operator's answer about a step, and follow it."""
        event = f"{ANSWER}{step.name}"
        try:
            answer = self._written.decode(self._wait(self._step(f"{WAIT}{event}"), event))
        except Parked:
            # Nobody answers a question that stands nowhere.
            logger.warning(
                "task %s asks what became of step %r, in flight when its worker died: "
                "hive wake %s --answer retry|fail|result",
                *(self.task_id, step.name, self.task_id),
            )
            raise
        if answer == {"answer": "fail"}:
            raise StepUnknownError(self.task_id, step.name)
        self._begin(step, again=True)
        if isinstance(answer, dict) and "result" in answer:
            return Step(name=step.name, key=step.key, is_done=True, value=self.end(step, answer["result"]))
        return step

    def _wait(self, step: Step, event: str, *, due_ms: int | None = None, wait_s: float | None = None) -> bytes:
        fence, wait_ms = self._fence, None if wait_s is None else round(wait_s * 1000)
        place = Place(
            task_id=self.task_id,
            queue=fence.queue,
            message_id=fence.message,
            field=step.name,
            event=event,
            agent=self._agent,
        )

        def park(store: Store) -> Park:
            return store.park(fence.consumer, fence.delivery, place, due_ms=due_ms, wait_ms=wait_ms, fair=self._fair)

        parked, was_repeated = self._app.access.repeated(fence, park)
        # A delivery that a repeated park no longer finds was parked by the one whose reply was lost.
        if parked.outcome is Outcome.ALREADY and was_repeated:
            raise Parked(step.name)
        self._require(parked.outcome)
        if parked.due_ms is not None:
            raise Parked(f"waits for {step.name!r}")
        return bytes(parked.payload)

    def _begin(self, step: Step, *, again: bool = False) -> StepBegin:
        fence = self._fence
        begun: StepBegin = self._told(
            lambda store: store.step_begin(fence.consumer, fence.delivery, self.task_id, step.name, again=again)
        )
        if begun.begun in {Begun.ALREADY, Begun.STALE}:
            self._require(Outcome(begun.begun.value))
        # Not again: what is known of the step would be forgotten, and an operator's answer with it.
        if begun.begun is not Begun.DONE and self._agent and not again:
            self._park_if_asleep(step, begun)
        return begun

    def _park_if_asleep(self, step: Step, begun: StepBegin) -> None:
        """Hand back the work of an agent that is about to sleep, before a step of it begins."""
        fence, agent = self._fence, self._agent
        seen = self._told(lambda store: store.agent_seen(agent))
        if seen.state is not AgentState.PREPARING_SLEEP:
            return
        if begun.begun is Begun.BEGINS:
            self.failed(step)
        due_ms = seen.until_ms or None
        outcome, was_repeated = self._app.access.repeated(
            fence,
            lambda store: store.agent_park(
                fence.consumer, fence.delivery, fence.message, agent, token=seen.token, due_ms=due_ms, fair=self._fair
            ),
        )
        if not (was_repeated and outcome is Outcome.ALREADY):
            self._require(outcome)
        raise Parked(f"agent {agent!r} is about to sleep")

    def _end(self, step: Step, result: bytes | None) -> None:
        fence = self._fence
        self._require(
            self._told(lambda store: store.step_end(fence.consumer, fence.delivery, self.task_id, step.name, result))
        )

    def _told(self, ask: Callable[[Store], T]) -> T:
        found: T = self._app.access.repeated(self._fence, ask)[0]
        return found

    def _require(self, outcome: Outcome) -> None:
        if outcome is not Outcome.DONE:
            raise Ignore(f"delivery {self._fence.token} of task {self.task_id} is another worker's now")

    def _step(self, name: str) -> Step:
        self._counts[name] += 1
        number = self._counts[name]
        name = name if number == 1 else f"{name}#{number}"
        return Step(name=name, key=f"{self.task_id}:{name}")


def run_of(task: Any, declared: Durable) -> Run | DirectRun:
    """Return the run of a task whose body runs; one for each call of it.

    Raises:
        DurableError: it has no delivery to go on with.
    """
    request = task.request
    if request.called_directly:
        # All direct calls share one request.
        return DirectRun(task.name)
    run: Run | None = getattr(request, RUN, None)
    if run is None:
        run = Run(task.app, request, declared)
        setattr(request, RUN, run)
    return run


def end_run(app: Any, request: Any) -> None:
    """Let the record of a run end soon whose task has ended; one that is never told so ends by itself, after a month."""
    run = getattr(request, RUN, None)
    if not isinstance(run, Run):
        return
    try:
        app.access.store.end_run(run.task_id)
    except BrokerGoneError as error:
        logger.warning("the steps of task %s are kept for a month: %s", run.task_id, error)


def has_begun(app: Any, task: Any, task_id: str) -> bool:
    """Whether a durable task has begun before: what limits its begin no longer counts. False if the broker is away."""
    if getattr(task, "durable_terms", None) is None:
        return False
    try:
        return bool(app.access.store.run_steps(task_id))
    except BrokerGoneError as error:
        logger.warning("task %s counts as not begun: %s", task_id, error)
        return False
