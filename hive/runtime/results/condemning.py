"""Dead letters that a task decides on itself, because its failure is for good.

Where nothing follows from the failure and the results are on the broker, the failure and the letter are written in one step:
who reads the one finds the other. Else they are set aside once all who wait for the failure were told of it: a worker that
dies in between leaves the message to the next one, which tells and sets aside again. Nobody else tells of them
(:mod:`hive.runtime.results.dead_results`).
"""

from functools import partial
from typing import Any

from hive.deadletter.poison import Reason
from hive.runtime.delivery.fence import Fence
from hive.runtime.delivery.inspection import trace_of
from hive.store.condemned import Condemned
from hive.store.store import Store
from hive.store.values import Outcome, StoredResult

#: Why a task sets its own message aside: it refuses its arguments, is poison by its cause or on two workers, or is not
#: retried any more. It fails with the error it raised.
BY_TASK = frozenset({Reason.WRONG_SCHEMA, Reason.POISON, Reason.SAME_FAILURE, Reason.RETRIES_EXHAUSTED})

#: Beside a delivery: what is to be set aside once its failure was told.
_CONDEMNED = "hive_condemned"


def condemn(task: Any, reason: Reason, cause: str, error: BaseException) -> None:
    """Have a running task's message become a dead letter when its failure has been recorded.

    Args:
        task: that fails with ``error``.
        reason: one of :data:`BY_TASK`.
        cause: a sentence.
        error: what it raised.
    """
    request = task.request
    fence = Fence.of(request)
    if fence is None or request.called_directly:
        return
    request.delivery_info[_CONDEMNED] = Condemned(
        id=fence.delivery, reason=reason, cause=cause, message_id=fence.message, traceback=trace_of(error)
    )
    if not getattr(task.backend, "sets_aside", False):
        # A backend of the task's own, which hive has not changed.
        set_aside(task.app, request)


def is_condemned(request: Any) -> bool:
    """Whether a request's message is to become a dead letter."""
    return _CONDEMNED in (getattr(request, "delivery_info", None) or {})


def awaits_setting_aside(request: Any) -> bool:
    """Whether a request's message is to become a dead letter and is none yet: a failure may be told of twice."""
    return is_condemned(request) and request.delivery_info[_CONDEMNED] is not None


def set_aside(app: Any, request: Any) -> None:
    """Make the dead letter of a request whose failure was told, if its task decided so. A repeat does nothing.

    Raises:
        BrokerGoneError: the broker stayed away for ten minutes.
    """
    fence = Fence.of(request)
    if fence is None or not awaits_setting_aside(request):
        return
    condemned = request.delivery_info[_CONDEMNED]
    request.delivery_info[_CONDEMNED] = None
    app.access.present(fence, lambda store: store.set_aside(fence.consumer, [condemned])[0])


def set_aside_with_result(app: Any, request: Any, fence: Fence, result: StoredResult) -> Outcome:
    """Write the failure of a request whose task decided so together with its dead letter.

    Raises:
        BrokerGoneError: the broker stayed away for ten minutes.
    """
    condemned = request.delivery_info[_CONDEMNED]
    step = partial(Store.set_aside_with_result, consumer=fence.consumer, condemned=condemned, result=result)
    outcome: Outcome = app.access.present(fence, step, jointly=True)
    # Nothing is left to be set aside; that its task decided so stays true.
    request.delivery_info[_CONDEMNED] = None
    return outcome
