"""Results that only the holder of the delivery may write."""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from celery import states
from celery.backends.base import BaseBackend
from celery.backends.redis import RedisBackend
from celery.result import task_join_will_block
from kombu.utils.encoding import bytes_to_str, ensure_bytes

from hive.runtime.calling.next_steps import fix_ids
from hive.runtime.delivery.fence import Fence
from hive.runtime.delivery.inspection import trace_of
from hive.runtime.delivery.reaching import require_broker
from hive.runtime.durable.run import end_run
from hive.runtime.results.chord_claim import free_claim
from hive.runtime.results.condemning import awaits_setting_aside, is_condemned, set_aside, set_aside_with_result
from hive.runtime.results.fallback import MARK, keep_answer
from hive.store.store import Store
from hive.store.values import Outcome, StoredResult

logger = logging.getLogger(__name__)

#: Beside a delivery: that its task waits for the next attempt is recorded.
_SAID_WAITING = "hive_said_waiting"


class FencedResults:
    """What hive changes in a result backend; to be put before it in a class's bases.

    On the broker's own Redis the token is checked, the result written and, where nothing follows from it, the delivery
    finished in one step. On another backend the token is checked, then the result written.
    """

    app: Any
    #: Condemned messages are set aside when their failure was told (:mod:`hive.runtime.results.condemning`).
    sets_aside = True
    encode_result: Callable[..., Any]

    def on_task_call(self, producer: Any, task_id: str) -> Any:
        """Prepare for a result, once it is known that the task can be published.

        Raises:
            OperationalError: no broker answers.
        """
        if not task_join_will_block():
            require_broker(self.app, producer.connection)
        return super().on_task_call(producer, task_id)  # type: ignore[misc]

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        fence = _fence_of(task_id, request)
        if state == states.RETRY and fence is not None and _SAID_WAITING in request.delivery_info:
            return result
        if fence is None or state == states.RETRY:
            # A retry has finished its delivery before it says so here.
            return super()._store_result(task_id, result, state, traceback=traceback, request=request, **kwargs)  # type: ignore[misc]
        if isinstance(self, RedisBackend) and self.app.access.is_broker(fence, self.connparams):
            self._write(fence, task_id, result, state, traceback, request)
            return result
        if not self.app.access.is_current(fence, task_id):
            return result
        return super()._store_result(task_id, result, state, traceback=traceback, request=request, **kwargs)  # type: ignore[misc]

    def _write(self, fence: Fence, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> None:
        backend: Any = self
        meta = backend._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = bytes_to_str(task_id)
        key = bytes_to_str(backend.get_key_for_task(task_id))
        expires_s = backend.failure_expires if state == states.FAILURE else backend.expires
        stored = StoredResult(
            key=key,
            value=ensure_bytes(backend.encode(meta)),
            ttl_ms=round(expires_s * 1000) if expires_s else None,
            channel=key,
        )
        if state == states.FAILURE and awaits_setting_aside(request) and not _follows(request):
            outcome = set_aside_with_result(self.app, request, fence, stored)
        else:
            write = Store.finish_with_result if _ends(state, request) else Store.store_result
            outcome = self.app.access.present(
                fence, lambda store: write(store, fence.consumer, fence.delivery, stored), jointly=True
            )
        # A delivery that has ended was ended by us, and with a result: a hard time limit is told of twice.
        if outcome is Outcome.STALE:
            _refused(f"result {state}", task_id, fence)

    def say_waiting(self, request: Any, error: BaseException | None) -> None:
        """Record that a task waits for its next attempt, before that is published: it may end before Celery says so.

        A backend that stores results in a way of its own (RPC, none at all) is left to Celery.
        """
        fence = Fence.of(request)
        backend: Any = self
        if fence is None or type(backend).store_result is not BaseBackend.store_result:
            return
        trace = trace_of(error) if error else None
        if isinstance(self, RedisBackend) and self.app.access.is_broker(fence, self.connparams):
            self._write(fence, request.id, self.encode_result(error, states.RETRY), states.RETRY, trace, request)
        elif self.app.access.is_current(fence, request.id):
            backend.store_result(request.id, error, states.RETRY, traceback=trace, request=request)
        # Copies of the request share it.
        request.delivery_info[_SAID_WAITING] = True

    def _get_result_meta(
        self, result: Any, state: str, traceback: Any, request: Any, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Return what is stored of a result; one that is a fallback says so, which stock Celery passes over."""
        meta: dict[str, Any] = super()._get_result_meta(result, state, traceback, request, *args, **kwargs)  # type: ignore[misc]
        mark = getattr(request, MARK, None)
        if mark is not None:
            meta[MARK] = mark
        return meta

    def mark_as_done(self, task_id: str, result: Any, request: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Record a success and what follows from it; a task that asks for it has its answer kept for worse times."""
        if request is not None:
            keep_answer(self.app, request, result)
        marked = super().mark_as_done(task_id, result, request, *args, **kwargs)  # type: ignore[misc]
        end_run(self.app, request)
        return marked

    def mark_as_failure(self, task_id: str, exc: Any, traceback: Any = None, request: Any = None, **kwargs: Any) -> Any:
        """Record a failure and what follows from it, if the delivery is current; its message may be a dead letter then."""
        if _follows(request):
            fix_ids(request)
            if not self._is_ours(request, task_id):
                return None
        told = super().mark_as_failure(task_id, exc, traceback=traceback, request=request, **kwargs)  # type: ignore[misc]
        if not is_condemned(request):
            # A dead letter may be redriven, and goes on then.
            end_run(self.app, request)
        set_aside(self.app, request)
        return told

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> Any:
        """Count a part of a chord, if the delivery is current."""
        if Fence.of(request):
            fix_ids(request)
        if not self._is_ours(request):
            return None
        if isinstance(self, RedisBackend):
            free_claim(self, request)
        return super().on_chord_part_return(request, state, result, **kwargs)  # type: ignore[misc]

    def _is_ours(self, request: Any, task_id: str | None = None) -> bool:
        fence = _fence_of(task_id or request.id, request)
        return fence is None or self.app.access.is_current(fence, task_id or request.id)


def _fence_of(task_id: str, request: Any) -> Fence | None:
    """Return the fence of the request if it is this task's own: a failed chain writes results of others too."""
    return Fence.of(request) if request is not None and getattr(request, "id", None) == task_id else None


def _follows(request: Any) -> bool:
    return bool(
        request is not None
        and any(getattr(request, name, None) for name in ("chord", "errbacks", "chain"))
        and Fence.of(request)
    )


def _ends(state: str, request: Any) -> bool:
    """Whether nothing follows a result, so that it may finish the delivery."""
    if state == states.SUCCESS:
        return not request.chord
    return state in states.READY_STATES and not _follows(request) and not is_condemned(request)


def _refused(what: str, task_id: str, fence: Fence) -> None:
    logger.warning("%s of task %s refused: delivery %d is no longer ours", what, task_id, fence.token)


@cache
def fenced(backend: type[Any]) -> type[Any]:
    """Return a backend class with fenced results."""
    if issubclass(backend, FencedResults):
        return backend
    return type(f"Fenced{backend.__name__}", (FencedResults, backend), {"__doc__": backend.__doc__})
