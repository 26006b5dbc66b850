"""The worker's view of one task to be run, with the fence of its delivery."""

import logging
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from billiard.pool import ApplyResult
from celery.app.task import Context
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.exceptions import OperationalError

from hive.errors import BrokerError, StaleLeaseError
from hive.pools.job import Job
from hive.runtime.calling.unique import DIGEST_HEADER, KEY_HEADER
from hive.runtime.durable.run import has_begun
from hive.store.faults import BrokerGoneError
from hive.transport.envelope import is_scheduled_by_us

logger = logging.getLogger(__name__)

#: What Celery itself puts into the headers of a task message; the rest are the user's.
CELERY_HEADERS = frozenset({*Context.__dict__, "lang", "task", "argsrepr", "kwargsrepr", "compression"})


class ChildMemoryError(Exception):
    """Stands for the MemoryError of a pool child in the worker's main process, which lacks none."""


class HiveRequest(Request):
    """Celery's request; its delivery info carries the fence to the pool, and a lost pool child counts as a death.

    A task that is acknowledged early has no fence: its delivery ends before its body begins.
    """

    _is_withdrawn = False
    _awaits_pool = False
    _is_failing = False
    _owes_acknowledgement = False
    #: What its pool process used too much of and was killed for (:mod:`hive.runtime.worker.bounding`).
    exceeded: str | None = None
    #: What its pool process may have; 0: it may have any, or was not looked at yet.
    memory_bound_mb = 0

    def __init__(self, message: Any, **opts: Any) -> None:
        super().__init__(message, **opts)
        request = self._request_dict
        if "headers" not in request:
            # Celery's context finds the user's headers by copying the request twice, for every task.
            request["headers"] = {name: value for name, value in request.items() if name not in CELERY_HEADERS}
        self._join(message)

    def _join(self, message: Any) -> None:
        """Take over what hive's message knows of its delivery."""
        self._request_dict.setdefault(KEY_HEADER, self.id)
        fence = getattr(message, "fence", None)
        if fence is None:
            return
        if is_scheduled_by_us({"properties": message.properties}):
            # The broker has found it due; Celery would let it wait here once more if this host's clock is behind.
            self._eta = None
        if self._task.acks_late:
            self._delivery_info["hive"] = fence
        if message.consumer.shares_memory and not self._decoded:
            # The pool runs in this process, so it need not decode again what was decoded here.
            self._body, self._content_type, self._content_encoding = message.payload, None, None

    def withdraw(self, pool: Any) -> None:
        """Keep a task from starting that was handed over and has not begun: its delivery is another worker's now.

        A repeat changes nothing.

        Args:
            pool: Celery's.
        """
        self._is_withdrawn = True
        task_ready(self)
        job = self._apply_result() if self._apply_result is not None else None
        if isinstance(job, ApplyResult):
            # Billiard sends no job that counts as accepted; one that is under way to a child ends with that child.
            job._accepted = True
            job.discard()
            if job._scheduled_for is not None:
                pool.terminate_job(job._scheduled_for.pid)
        elif isinstance(job, Job):
            self._awaits_pool = True
            job.terminate()

    def info(self, safe: bool = False) -> dict[str, Any]:
        """Return what ``inspect`` says of it: as Celery does, without the fence, which is the pool's alone."""
        told: dict[str, Any] = super().info(safe)
        told["delivery_info"] = {
            name: value for name, value in told["delivery_info"].items() if not name.startswith("hive")
        }
        return told

    def maybe_expire(self) -> bool | None:
        """Mark the task as revoked if it has expired, as Celery does; a durable one that has begun does not expire."""
        if self._expires is not None and has_begun(self._app, self._task, self.id):
            return None
        expired: bool | None = super().maybe_expire()
        return expired

    def revoked(self) -> bool:
        """Whether it is not to be handed to the pool; Celery asks right before, and may have let it wait till then."""
        return self._is_withdrawn or bool(super().revoked())

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Note that the body is about to begin.

        Raises:
            StaleLeaseError: it must not, in a pool of threads, which begins no body whose acceptance fails.
        """
        if not self._is_withdrawn:
            super().on_accepted(pid, time_accepted)
            return
        task_ready(self)
        if not self._awaits_pool:
            fence = self._message.fence
            raise StaleLeaseError(fence["queue"], fence["token"], fence["message"])

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """End a task past its hard time limit; one that asks to be delivered again counts it as a death.

        Stock Celery would deliver such a message for ever.
        """
        if soft or not self._is_delivered_again_on_timeout:
            return super().on_timeout(soft, timeout)
        # No failure yet: it is one, for all who wait, when it becomes a dead letter.
        task_ready(self)
        logger.error("hard time limit of %g s exceeded by %s[%s]", timeout, self.name, self.id)
        self._message.cause_of_death = f"hard time limit of {timeout:g} s exceeded"
        self.reject(requeue=True)
        return None

    def _announce_revoked(self, reason: Any, terminated: Any, signum: Any, expired: Any) -> None:
        """End a revoked or expired task as Celery does; one that never began gives its key back."""
        super()._announce_revoked(reason, terminated, signum, expired)
        digest, fence = self._request_dict.get(DIGEST_HEADER), getattr(self._message, "fence", None)
        if digest is None or terminated or fence is None:
            return
        try:
            self._message.channel.store.free_key(fence["queue"], digest, self.id)
        except BrokerGoneError as error:
            logger.warning(
                "the key of revoked task %s[%s] is held until its time is over: %s", self.name, self.id, error
            )

    @property
    def _unreachable(self) -> tuple[type[BaseException], ...]:
        """What broker and result backend raise while they are away."""
        backend = getattr(self._task.backend, "connection_errors", ())
        return (BrokerError, OperationalError, *(error for error in backend if error is not KeyError))

    @property
    def _shares_memory(self) -> bool:
        """Whether bodies run in this process, so that what they lack, this process lacks."""
        consumer = getattr(self._message, "consumer", None)
        return bool(consumer is not None and consumer.shares_memory)

    @property
    def _is_delivered_again_on_timeout(self) -> bool:
        return bool(self._task.acks_late and not self._task.acks_on_timeout)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """End the task as Celery does; if its pool child was lost, the message is told what killed it.

        A body whose outcome could not be told for long goes back to its queue: nothing else would end it.
        """
        if not exc_info.internal:
            self._app.process.failed_count += 1
        lost = exc_info.exception
        lost = getattr(lost, "exc", lost)
        if exc_info.internal and self._task.acks_late and isinstance(lost, self._unreachable):
            logger.warning(
                "task %s[%s] goes back to its queue: its outcome cannot be told: %s", self.name, self.id, lost
            )
            task_ready(self)
            return self.reject(requeue=True)
        if isinstance(lost, MemoryError) and not self._shares_memory:
            # Celery would end this whole worker, for what one of its children lacked.
            text = repr(lost)
            if self.memory_bound_mb:
                logger.error(
                    "task %s[%s] was refused memory: its pool process may have %d MB",
                    self.name,
                    self.id,
                    self.memory_bound_mb,
                )
            lost = WorkerLostError(text) if exc_info.internal else ChildMemoryError(text)
            exc_info.exception = lost
        if isinstance(lost, WorkerLostError | SystemExit) and not self._already_cancelled:
            self._message.cause_of_death = f"pool process lost: {self.exceeded or lost}"
        elif isinstance(lost, TimeLimitExceeded) and self._is_delivered_again_on_timeout:
            # Told before on_timeout, and the one that hands the message back.
            self._message.cause_of_death = f"hard time limit exceeded: {lost}"
        self._is_failing = not return_ok
        try:
            return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
        finally:
            self._is_failing = False
            if self._owes_acknowledgement:
                self._owes_acknowledgement = False
                self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge; of a failure that is told here, once it was told: with its delivery ended, it would be refused."""
        if self._is_failing:
            self._owes_acknowledgement = True
        else:
            super().acknowledge()
