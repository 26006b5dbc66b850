"""The task class of every task of a Hive application."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, ClassVar

from celery import Task
from celery.app.task import get_actual_ignore_result
from celery.exceptions import Ignore, Reject, Retry
from kombu.exceptions import OperationalError
from pydantic import ValidationError

from hive.agents.types import Resources
from hive.deadletter.poison import Reason
from hive.errors import BrokerError
from hive.guards.fallback import Source, sources
from hive.resilience.limiter import Limit
from hive.resilience.strategies import RetryStrategy
from hive.routing.named import strategy_of
from hive.routing.strategy import Strategy
from hive.runtime.calling.declaration import require_declaration
from hive.runtime.calling.next_steps import fix_ids
from hive.runtime.calling.unique import KEY_HEADER, Unique
from hive.runtime.delivery.fence import Fence
from hive.runtime.delivery.inspection import refusal_of
from hive.runtime.durable.context import context_of
from hive.runtime.durable.run import run_of
from hive.runtime.durable.task import Durable, DurableError
from hive.runtime.results.awaiting import AwaitableTask
from hive.runtime.results.backend import FencedResults
from hive.runtime.results.condemning import condemn
from hive.runtime.retrying.retries import Booking, Retrying
from hive.runtime.worker.coroutines import run_to_end
from hive.store.values import Outcome


class HiveTask(AwaitableTask, Task):
    """Celery's task, with an agent type.

    Attributes:
        agent_type: name of the agent type whose pool runs it; none: Celery's default queue.
        limits: which must have room before it takes a slot; until then it waits on the broker.
        exclusive: templates of what only one of the fleet's tasks may have at a time, such as ``"repo:{path}"``; others
            wait for it on the broker, in no promised order.
        fair_key: template of the key whose turn its calls wait for, such as ``"{tenant}"``; none: they wait for nobody's.
        fair_weights: how often a key's turn comes, by key; 1 for all others.
        unique: says when a second call is handed the result of the first; none: never.
        breaker: name of the dependency whose breaker must be closed for it to run, or names of several.
        retry_strategy: what follows a failure, as declared by ``@app.task(retry=...)`` (a strategy, its name, a table;
            ``False``: none) or by its agent type; none: what Celery does.
        fallback: what its result is when a guard refuses it; several are tried in order.
        routing: how a worker is chosen, a strategy or its name; none: by its agent type, else only by its affinity.
        affinity: template of the key whose calls go to the same worker, such as ``"{conversation}"``; none: it does not matter.
        kind: of work, such as ``review``; without an agent type it goes to one that can do it.
        domains: fields of knowledge it touches.
        needs: what it takes of a worker's host; none: as much as any other.
        durable_terms: how its steps are kept, as declared by ``@app.task(durable=...)``; none: it has none.
    """

    agent_type: str | None = None
    limits: Sequence[Limit] = ()
    exclusive: str | Sequence[str] | None = None
    fair_key: str | None = None
    fair_weights: Mapping[str, float] | None = None
    unique: Unique | None = None
    breaker: str | Sequence[str] | None = None
    fallback: Source | Sequence[Source] | None = None
    retry_strategy: RetryStrategy | None = None
    routing: Strategy | str | None = None
    affinity: str | None = None
    kind: str | None = None
    domains: Sequence[str] = ()
    needs: Resources | None = None
    durable_terms: Durable | None = None
    Request = "hive.runtime.worker.request:HiveRequest"
    Strategy = "hive.runtime.worker.strategy:Strategy"
    # Celery copies these from the class into every call's options.
    from_config: ClassVar[tuple[Any, ...]] = Task.from_config

    @property
    def idempotency_key(self) -> str | None:
        """What to hand to whatever the body calls, so that a repeat does no harm there: the same for every attempt.

        The key the caller gave, else the task's id; ``None`` where the body is called directly.
        """
        request = self.request
        known: str | None = getattr(request, KEY_HEADER, None) or request.id
        return known

    @property
    def durable(self) -> Any:
        """The steps and waits of the running task: a ``DurableContext``, or an ``AsyncDurableContext`` in a coroutine.

        Raises:
            DurableError: it is not declared ``durable``, or has no delivery to go on with.
        """
        if self.durable_terms is None:
            raise DurableError(f"task {self.name!r} is not durable: declare it with @app.task(durable=True)")
        return context_of(self, run_of(self, self.durable_terms))

    @classmethod
    def bind(cls, app: Any) -> Any:
        """Bind to ``app`` and check the agent type, so that an unknown one is an error where the task is defined.

        The type's time limits are the task's, unless it has its own.

        Raises:
            UnknownAgentTypeError: nobody declared ``agent_type``.
            SettingsError: there is no such retry strategy, or routing strategy.
            TypeError: its ``fallback``, a guard or a key is none.
        """
        sources(cls.fallback)
        require_declaration(cls)
        agent = None
        if cls.agent_type is not None and hasattr(app, "agent_types"):
            agent = app.agent_types.require(cls.agent_type, task=cls.name)
            if cls.time_limit is None and cls.soft_time_limit is None:
                cls.time_limit, cls.soft_time_limit = agent.time_limit_s, agent.soft_time_limit_s
        routing = cls.routing if cls.routing is not None or agent is None else agent.routing
        cls.routing = None if routing is None else strategy_of(routing)
        if hasattr(app, "retry_policy"):
            cls.retry_strategy = app.retry_policy.adopt(cls.retry_strategy, agent)
        return super().bind(app)

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: Any = None,
        producer: Any = None,
        *more: Any,
        **options: Any,
    ) -> Any:
        """Call the task, with the arguments, the result and the errors of Celery's ``apply_async``.

        A plain call (:mod:`hive.runtime.calling.plain_call`) takes a shorter way to the same message.
        """
        if more:
            # As overrides of old pass them on, in Celery's order.
            options.update(zip(("link", "link_error", "shadow"), more, strict=False))
        if task_id is not None:
            options["task_id"] = task_id
        # A task of this class may belong to an application of Celery's own.
        plain_calls = getattr(self.app, "plain_calls", None)
        if producer is None and plain_calls is not None:
            sent = plain_calls.send(self, args, kwargs, options)
            if sent is not None:
                return sent
        return super().apply_async(args, kwargs, producer=producer, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body; in a worker, a coroutine is run to its end on the loop of the process."""
        try:
            value = run_to_end(self, args, super().__call__(*args, **kwargs))
        except Exception as error:
            answer = self.answer_failure(self._refusal(error) or error)
            if answer is error:
                raise
            raise answer from error
        if self.request.called_directly:
            return value
        if type(value) is CoroutineType:
            return self._checked(value)
        self._check()
        return value

    def answer_failure(self, error: Exception) -> Exception:
        """Return what stands for the outcome of a failed attempt: by the task's retry strategy a Retry, else ``error``."""
        return error if self.retry_strategy is None else self.app.retry_policy.answer(self, error)

    def _refusal(self, error: Exception) -> Exception | None:
        """Return what stands for an error of the task's pydantic models; its message is to become a dead letter then."""
        # Who calls the function himself gets what it raises.
        if not isinstance(error, ValidationError) or self.request.called_directly:
            return None
        refusal = refusal_of(self.name, error)
        if refusal is not None:
            condemn(self, Reason.WRONG_SCHEMA, str(refusal), error)
        return refusal

    async def _checked(self, body: Any) -> Any:
        value = await body
        self._check()
        return value

    def _check(self) -> None:
        """Let nothing follow from a task whose delivery has been given to another worker.

        Raises:
            Ignore: it has; neither result nor next step is published.
        """
        if self.request.callbacks or self.request.chain:
            self._check_current()

    def _check_current(self, *others: str) -> None:
        request = self.request
        if fence := Fence.of(request):
            fix_ids(request, *others)
            if not self.app.access.is_current(fence, request.id):
                raise Ignore(f"delivery {fence.token} is another worker's now")

    def on_replace(self, sig: Any) -> Any:
        """Publish the task that takes this one's place, as Celery does, if the delivery is current.

        Raises:
            Ignore: always, as in Celery; nothing was published if the delivery is another worker's now.
        """
        self._check_current(self.request.id)
        return super().on_replace(sig)

    def add_to_chord(self, sig: Any, lazy: bool = False) -> Any:
        """Add a task to the chord this one belongs to, as Celery does, if the delivery is current.

        Raises:
            Ignore: it is another worker's now, and nothing was added.
        """
        self._check_current()
        return super().add_to_chord(sig, lazy)

    def signature_from_request(
        self,
        request: Any = None,
        *args: Any,
        fence: Fence | None = None,
        booking: Booking | None = None,
        announce: Callable[[], None] | None = None,
        **options: Any,
    ) -> Any:
        """Return a signature of the same call; with a ``fence``, one whose publishing finishes that delivery."""
        signature = super().signature_from_request(request, *args, **options)
        signature["options"].pop("hive", None)
        return signature if fence is None else Retrying.of(signature, fence, booking, announce)

    def _say_waiting(self, error: Any) -> None:
        is_unwanted = get_actual_ignore_result(self, self.request) and not self.store_errors_even_if_ignored
        if isinstance(self.backend, FencedResults) and not is_unwanted:
            self.backend.say_waiting(self.request, error if isinstance(error, BaseException) else None)

    def retry(self, *args: Any, throw: bool = True, **options: Any) -> Any:
        """Retry the task, as Celery does; the present delivery is finished and the next attempt published in one step.

        Raises:
            Retry: it was published.
            Ignore: the delivery is another worker's now, and nothing was published.
            Reject: the broker did not answer; the message goes back to its queue.
        """
        if self.retry_strategy is not None:
            self.app.retry_policy.decided(self.request)
        fence = Fence.of(self.request)
        if fence is None or not throw or self.request.called_directly:
            return super().retry(*args, throw=throw, **options)
        announce = partial(self._say_waiting, options["exc"] if "exc" in options else (*args[2:3], None)[0])
        try:
            return super().retry(*args, throw=throw, fence=fence, announce=announce, **options)
        except Retry as retry:
            if isinstance(retry.sig, Retrying) and retry.sig.outcome is not Outcome.DONE:
                raise Ignore(f"delivery {fence.token} is another worker's now") from retry
            raise
        except Reject as reject:
            if isinstance(reject.reason, BrokerError | OperationalError):
                raise Reject(reject.reason, requeue=True) from reject
            raise
