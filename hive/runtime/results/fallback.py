"""The task that runs in place of one that its guards refuse: its value is the result, and the result says so.

It is a task of its own, run under the id and with the request of the refused one, so that result, chain, chord, callbacks
and events go on as they would have. It calls nothing but the broker, so it holds its slot for a moment only.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from celery.exceptions import Ignore
from kombu.utils.json import dumps

from hive.deadletter.history import DEADLINE
from hive.errors import BrokerError, DeadlineExceededError, GuardRefusedError
from hive.guards.fallback import Default, Fallback, LastGood, OtherAgent, Source, sources
from hive.runtime.calling.deadline import DEADLINE_GUARD
from hive.runtime.delivery.fence import Fence
from hive.store.values import Due
from hive.transport.envelope import fair_of

logger = logging.getLogger(__name__)

#: Name of the task.
FALLBACK_TASK = "hive.fallback"

#: In a request: why the task itself does not run. Never on the broker.
REFUSAL = "hive_refusal"

#: In a request, and among the headers of a message that another agent type takes over: the mark of its result.
MARK = "hive_fallback"

#: Answers larger than this are not kept.
ANSWER_MAX_BYTES = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a task does not run.

    Attributes:
        guard: who refused.
        reason: as a sentence.
        due_ms: when it may be asked again; ``None``: never.
    """

    guard: str
    reason: str
    due_ms: int | None

    def as_header(self) -> dict[str, Any]:
        """Return it as a request carries it to the pool."""
        return asdict(self)


def is_fallback(headers: Mapping[str, Any]) -> bool:
    """Whether a message was sent here as the fallback of a refused task."""
    return isinstance(headers.get(MARK), Mapping)


def sources_of(task: Any, headers: Mapping[str, Any]) -> tuple[Source, ...]:
    """Return the fallbacks a task declares; what is one already goes to no further agent type."""
    declared = sources(getattr(task, "fallback", None))
    if is_fallback(headers):
        return tuple(source for source in declared if not isinstance(source, OtherAgent))
    return declared


def run_fallback(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the value of the first fallback of the refused task that has one; the body of :data:`FALLBACK_TASK`.

    Raises:
        Ignore: another agent type has it now, or it waits on the broker because no fallback has a value.
        DeadlineExceededError: its deadline has passed, and no fallback has a value.
        GuardRefusedError: another guard refused it for ever, and no fallback has a value.
    """
    request, app = self.request, self.app
    refusal = Refusal(**getattr(request, REFUSAL))
    found = fallback_of(app, request, refusal, args, kwargs)
    if found is None:
        raise _given_up(app, request, refusal)
    return found[0]


def fallback_of(
    app: Any, request: Any, refusal: Refusal, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any] | None:
    """Return the value of the first fallback of a refused task that has one, and mark its result; None: none has.

    Raises:
        Ignore: another agent type has the call now.
    """
    task = app.tasks[request.task]
    for source in sources_of(task, vars(request)):
        if isinstance(source, OtherAgent):
            raise _sent_on(app, request, source, refusal)
        found = _value(app, task, source, args, kwargs)
        if found is not None:
            value, name, age_s = found
            mark = Fallback(source=name, guard=refusal.guard, reason=refusal.reason, age_s=age_s)
            setattr(request, MARK, mark.as_header())
            return (value,)
    return None


def _value(
    app: Any, task: Any, source: Source, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Any, str, float | None] | None:
    if isinstance(source, Default):
        return source.value, "default", None
    if not isinstance(source, LastGood):
        return None
    found = app.access.store.answer(_answer_name(task.name, source, args, kwargs))
    if found is None:
        return None
    encoded, age_s = found
    return app.backend.decode(encoded), "last_good", age_s


def _sent_on(app: Any, request: Any, source: OtherAgent, refusal: Refusal) -> Ignore:
    """Publish the call for another agent type and finish this delivery, in one step; return what ends the task here."""
    mark = Fallback(source=f"agent:{source.agent_type}", guard=refusal.guard, reason=refusal.reason)
    task = app.tasks[source.task or request.task]
    headers = {**(request.headers or {}), MARK: mark.as_header()}
    if refusal.guard == DEADLINE_GUARD:
        # It has passed: what was declared for that case must not fail of it again.
        headers.pop(DEADLINE, None)
    signature = task.signature_from_request(
        request,
        queue=app.agent_types.require(source.agent_type, task=task.name).queue,
        retries=request.retries,
        headers=headers,
        fence=Fence.of(request),
    )
    signature.apply_async()
    return Ignore(f"{refusal.guard} refused it: agent type {source.agent_type} has it now")


def _given_up(app: Any, request: Any, refusal: Refusal) -> Exception:
    """Return the error that ends the task, or have it wait on the broker and return what ends this delivery."""
    fence = Fence.of(request)
    if refusal.due_ms is not None and fence is not None:
        waits = Due(id=fence.delivery, message_id=fence.message, due_ms=refusal.due_ms, fair=fair_of(request.headers))
        app.access.present(fence, lambda store: store.reschedule_many(fence.consumer, [waits])[0])
        return Ignore(f"{refusal.guard} refused it: it waits on the broker")
    kind = DeadlineExceededError if refusal.guard == DEADLINE_GUARD else GuardRefusedError
    return kind(request.task, refusal.guard, refusal.reason)


def keep_answer(app: Any, request: Any, value: Any) -> None:
    """Keep a good result for later, if its task declares :class:`LastGood`; a broker that is away is only logged.

    Args:
        app: the application.
        request: of the task that returned it.
        value: what it returned.
    """
    task = app.tasks.get(getattr(request, "task", None) or "")
    declared = getattr(task, "fallback", None)
    if declared is None or getattr(request, MARK, None) is not None:
        return
    for source in sources(declared):
        if isinstance(source, LastGood):
            encoded = app.backend.encode(value)
            raw = encoded.encode() if isinstance(encoded, str) else encoded
            if len(raw) > ANSWER_MAX_BYTES:
                logger.warning("the answer of %s is not kept: %d bytes", task.name, len(raw))
                return
            name = _answer_name(task.name, source, request.args or (), request.kwargs or {})
            try:
                app.access.store.keep_answer(name, raw, ttl_s=source.max_age_s)
            except BrokerError as error:
                logger.warning("the answer of %s is not kept: %s", task.name, error)


def _answer_name(task: str, source: LastGood, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    same = source.key(*args, **kwargs) if source.key else dumps([list(args), dict(kwargs)], sort_keys=True)
    return f"{task}:{hashlib.sha256(same.encode()).hexdigest()}"
