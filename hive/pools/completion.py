"""What follows a body that returned: the next steps, the result, hooks, signals, the log."""

import inspect
import logging
from collections.abc import Callable
from typing import Any

from celery import group, signals, states
from celery.app.trace import LOG_IGNORED, LOG_SUCCESS, info
from celery.canvas import maybe_signature
from celery.exceptions import BackendGetMetaError, Ignore, Reject
from celery.utils.log import get_logger
from celery.utils.saferepr import saferepr
from celery.worker.state import successful_requests
from kombu.exceptions import EncodeError, OperationalError
from kombu.utils.encoding import safe_repr

from hive.pools.attempt import Attempt
from hive.pools.network import Network

logger = get_logger("celery.app.trace")


class Completion:
    """Completes the attempts of one application.

    Args:
        app: the Celery application.
        network: runs what may wait for the network.
        now_s: monotonic seconds.
    """

    def __init__(self, app: Any, network: Network, now_s: Callable[[], float]) -> None:
        self._app = app
        self._network = network
        self._now_s = now_s
        self._logs_success = logger.isEnabledFor(logging.INFO)
        self._deduplicates = bool(app.conf.worker_deduplicate_successful_tasks)

    async def publish(self, attempt: Attempt) -> Exception | None:
        """Publish what follows the task, then store its result; return the error that makes it a failure.

        The next steps go first, so that the stored result can name them as its children.
        """
        context = attempt.context
        if not (attempt.stores_result or context.callbacks or context.chain or context.chord):
            return None
        error: Exception | None = await self._network.call(self._publish, attempt)
        return error

    def _publish(self, attempt: Attempt) -> Exception | None:
        is_published = False
        try:
            # A hive task makes sure first that its delivery is still its own.
            getattr(attempt.task, "_check", _nothing)()
            self._publish_next(attempt, attempt.value)
            is_published = True
            attempt.task.backend.mark_as_done(attempt.id, attempt.value, attempt.context, attempt.stores_result)
        except OperationalError as exc:
            if is_published:
                raise
            return exc
        except (EncodeError, Ignore) as exc:
            return exc
        return None

    def _publish_next(self, attempt: Attempt, value: Any) -> None:
        context = attempt.context
        signatures = [maybe_signature(callback, app=self._app) for callback in context.callbacks or ()]
        groups = [signature for signature in signatures if isinstance(signature, group)]
        tasks = [signature for signature in signatures if not isinstance(signature, group)]
        for callback in groups:
            self._send(callback, attempt, value)
        if len(tasks) > 1:
            self._send(group(tasks, app=self._app), attempt, value)
        elif tasks:
            self._send(tasks[0], attempt, value)
        if context.chain:
            self._send(maybe_signature(context.chain[-1], app=self._app), attempt, value, chain=context.chain[:-1])

    def _send(self, signature: Any, attempt: Attempt, value: Any, **options: Any) -> None:
        inherits = self._app.conf.task_inherit_parent_priority
        priority = attempt.context.delivery_info.get("priority") if inherits else None
        self._app.amqp._retry_publish(
            signature.apply_async,
            (value,),
            parent_id=attempt.id,
            root_id=attempt.root_id,
            priority=priority,
            **options,
        )

    async def success(self, attempt: Attempt) -> tuple[int, str, float]:
        """Tell hook, signal and log, and return the reply to the consumer."""
        task, value = attempt.task, attempt.value
        text: str = "None" if value is None else saferepr(value, task.resultrepr_maxsize)
        runtime_s = self._now_s() - attempt.started_s
        if "on_success" in attempt.traced.hooks:
            await self._call_hook("on_success", attempt, value, attempt.id, attempt.args, attempt.kwargs)
        signals.task_success.send(sender=task, result=value, runtime=runtime_s)
        if self._logs_success:
            fields = {"id": attempt.id, "name": attempt.name, "return_value": text, "runtime": runtime_s}
            fields["args"] = attempt.context.get("argsrepr") or safe_repr(attempt.args)
            fields["kwargs"] = attempt.context.get("kwargsrepr") or safe_repr(attempt.kwargs)
            info(LOG_SUCCESS, fields)
        return 0, text, runtime_s

    async def return_hook(self, attempt: Attempt) -> None:
        """Call `after_return`, unless the task was retried, ignored or rejected."""
        if "after_return" in attempt.traced.hooks and attempt.state in {states.SUCCESS, states.FAILURE}:
            args = (attempt.state, attempt.value, attempt.id, attempt.args, attempt.kwargs, None)
            await self._call_hook("after_return", attempt, *args)

    async def _call_hook(self, name: str, attempt: Attempt, *args: Any) -> None:
        """Call a hook that comes after the outcome was stored: its error is logged, for there is only one outcome."""
        try:
            hooked = getattr(attempt.task, name)(*args)
            if inspect.isawaitable(hooked):
                await hooked
        except (Reject, MemoryError):
            raise
        except Exception:
            logger.exception("Task %s[%s] %s handler raised", attempt.name, attempt.id, name)

    async def was_done_before(self, attempt: Attempt) -> bool:
        """Whether a redelivered task has its result already, where Celery is told to look for that."""
        conf, context = self._app.conf, attempt.context
        if not (self._deduplicates and (context.delivery_info or {}).get("redelivered")):
            return False
        if not ((conf.task_acks_late or attempt.task.acks_late) and self._app.backend.persistent):
            return False
        if attempt.id in successful_requests:
            return True
        done: bool = await self._network.call(self._complete_again, attempt)
        return done

    def _complete_again(self, attempt: Attempt) -> bool:
        """Publish the next steps of a task that stored its result and died before it was acknowledged."""
        result = self._app.AsyncResult(attempt.id)
        try:
            if result.state != states.SUCCESS:
                return False
            meta = result._get_task_meta()
        except BackendGetMetaError:
            return False
        fields = {"id": attempt.id, "name": attempt.name, "description": "Task already completed successfully."}
        info(LOG_IGNORED, fields)
        try:
            if not meta.get("children"):
                self._publish_next(attempt, meta.get("result"))
        except Exception as exc:
            logger.exception("Failed to publish what follows the finished task %s", attempt.id)
            raise Reject(exc, requeue=True) from exc
        successful_requests.add(attempt.id)
        return True


def _nothing() -> None:
    """Stand for the check of a task that has none."""
