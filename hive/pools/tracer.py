"""Runs coroutine tasks with the outcomes that Celery's tracer gives to plain functions.

The order of things is Celery's: `task_prerun`, the STARTED state, `before_start`, the body, callbacks and the next of
the chain, the result and the chord, `on_success`, `task_success`, `after_return`, `task_postrun`. What the body raises
is turned into an outcome by Celery's own `TraceInfo`. What may wait for the network runs on a thread, with the task's
context; everything else runs on the loop.
"""

import asyncio
import inspect
import os
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import signals, states
from celery._state import _task_stack
from celery.app.trace import TraceInfo, _signal_internal_error, report_internal_error, traceback_clear
from celery.exceptions import Ignore, Reject, Retry
from celery.utils.log import get_logger
from kombu.serialization import loads, prepare_accept_content

from hive.clock import Clock, SystemClock
from hive.pools import autoretry
from hive.pools.attempt import Attempt, Traced, context_of
from hive.pools.body import Body, SoftLimitReached
from hive.pools.completion import Completion
from hive.pools.identity import own_context, separate
from hive.pools.job import Job, JobState, exception_info
from hive.pools.network import Network
from hive.pools.watch import LoopWatch

logger = get_logger("celery.app.trace")

#: Failed or not, the value's text or the error, the run time in seconds: what Celery's request is told.
Reply = tuple[int, Any, Any]


class CoroutineTracer:
    """Traces one coroutine task after the other; one for each pool.

    Args:
        app: the Celery application.
        hostname: node name of the worker.
        network: runs what may wait for the broker or the result backend.
        watch: told when bodies take a step.
        clock: where time comes from.
    """

    def __init__(self, app: Any, hostname: str, network: Network, watch: LoopWatch, clock: Clock | None = None) -> None:
        self._app = app
        self._hostname = hostname
        self._network = network
        self._watch = watch
        self._now = (clock or SystemClock()).monotonic_s
        self._completion = Completion(app, network, self._now)
        self._accept = prepare_accept_content(app.conf.accept_content)
        self._traced: dict[str, Traced] = {}

    async def trace(self, job: Job) -> Reply:
        """Execute the task of ``job`` and say what became of it.

        Raises:
            CancelledError: the job was interrupted, and its outcome is no longer its own to report.
            Reject: a hook wants the message rejected.
            DecodeError: the message cannot be read.
        """
        own_context(job)
        name, task_id, request, body, content_type, encoding = job.args
        traced = self._look_up(name)
        args, kwargs, embed = loads(body, content_type, encoding, accept=self._accept) if content_type else body
        request.update({"args": args, "kwargs": kwargs, "hostname": self._hostname, "is_eager": False}, **embed or {})
        attempt: Attempt | None = None
        try:
            attempt = Attempt(
                job=job,
                traced=traced,
                id=task_id,
                args=args,
                kwargs=kwargs,
                context=context_of(request, args, kwargs),
                started_s=self._now(),
            )
            return await self._attempt(attempt)
        except (MemoryError, Reject):
            raise
        except Exception as exc:
            return await self._internal_error(traced.task, job, attempt, exc)

    def _look_up(self, name: str) -> Traced:
        task = self._app.tasks[name]
        traced = self._traced.get(name)
        if traced is None or traced.task is not task:
            separate(task)
            traced = self._traced[name] = Traced.of(task)
        return traced

    async def _attempt(self, attempt: Attempt) -> Reply:
        if await self._completion.was_done_before(attempt):
            return 0, None, None
        task = attempt.task
        _task_stack.push(task)
        task.request_stack.push(attempt.context)
        try:
            await self._announce(attempt)
            reply = await self._execute(attempt)
            await self._completion.return_hook(attempt)
            return reply
        finally:
            self._clean_up(attempt)

    async def _announce(self, attempt: Attempt) -> None:
        task = attempt.task
        signals.task_prerun.send(sender=task, task_id=attempt.id, task=task, args=attempt.args, kwargs=attempt.kwargs)
        self._app.loader.on_task_init(attempt.id, task)
        if task.track_started and attempt.stores_result:
            meta = {"pid": os.getpid(), "hostname": self._hostname}
            await self._network.call(
                task.backend.store_result, attempt.id, meta, states.STARTED, request=attempt.context
            )

    async def _execute(self, attempt: Attempt) -> Reply:
        try:
            value = await self._body(attempt)
        except Exception as exc:
            return await self._raised(attempt, exc)
        except asyncio.CancelledError as exc:
            if attempt.job.state is not JobState.RUNNING:
                raise
            return await self._failed(attempt, exc)
        attempt.state, attempt.value = states.SUCCESS, value
        error = await self._completion.publish(attempt)
        if error is not None:
            return await self._end(attempt, error)
        return await self._completion.success(attempt)

    async def _raised(self, attempt: Attempt, exc: Exception) -> Reply:
        """Retry what the task's options say is to be retried; else end with what was raised."""
        if isinstance(exc, SoftLimitReached):
            exc = SoftTimeLimitExceeded(*exc.args).with_traceback(exc.__traceback__)
        _leave_own_frames_out(exc)
        if attempt.is_started and autoretry.is_retried(attempt.task, exc):
            exc = await self._network.call(autoretry.retry, attempt.task, exc)
        return await self._end(attempt, exc)

    async def _end(self, attempt: Attempt, exc: Exception) -> Reply:
        """Turn an error into an outcome."""
        if isinstance(exc, Reject):
            return self._refused(attempt, "REJECTED", exc)
        if isinstance(exc, Ignore):
            return self._refused(attempt, "IGNORED", exc)
        return await self._failed(attempt, exc, states.RETRY if isinstance(exc, Retry) else states.FAILURE)

    async def _body(self, attempt: Attempt) -> Any:
        """Run hook and body under the limits; an interrupted body has no outcome, whatever it ends with."""
        job = attempt.job
        coroutine = self._hook_and_body(attempt)
        body = Body(coroutine, job, self._watch, job.task)
        job.begin(body, asyncio.get_running_loop())
        try:
            return await body
        except BaseException as exc:
            if job.is_disowned and not isinstance(exc, asyncio.CancelledError):
                raise asyncio.CancelledError from exc
            raise
        finally:
            job.leave_body()

    async def _hook_and_body(self, attempt: Attempt) -> Any:
        task, traced = attempt.task, attempt.traced
        if "before_start" in traced.hooks:
            hooked = task.before_start(attempt.id, attempt.args, attempt.kwargs)
            if inspect.isawaitable(hooked):
                await hooked
        attempt.is_started = True
        value = await traced.call(*attempt.args, **attempt.kwargs)
        if attempt.job.is_disowned:
            raise asyncio.CancelledError
        return value

    def _refused(self, attempt: Attempt, state: str, exc: BaseException) -> Reply:
        """Log a Reject or an Ignore; what it asks for is done by whoever gets the reply."""
        info = TraceInfo(state, exc)
        attempt.state, attempt.value = state, exc
        _leave_own_frames_out(exc)
        einfo = exception_info(exc, internal=True)
        handle = info.handle_reject if state == "REJECTED" else info.handle_ignore
        handle(attempt.task, attempt.context)
        traceback_clear(exc)
        return 1, einfo, None

    async def _failed(self, attempt: Attempt, exc: BaseException, state: str = states.FAILURE) -> Reply:
        """Store a failure or a retry, tell errbacks, hooks and signals: all of it on a thread, for it may wait."""
        attempt.state, attempt.value = state, exc
        _leave_own_frames_out(exc)
        einfo = await self._network.call(_handle_error, attempt, exc, state)
        traceback_clear(exc)
        return 1, einfo, None

    def _clean_up(self, attempt: Attempt) -> None:
        task = attempt.task
        try:
            signals.task_postrun.send(
                sender=task,
                task_id=attempt.id,
                task=task,
                args=attempt.args,
                kwargs=attempt.kwargs,
                retval=attempt.value,
                state=attempt.state,
            )
        finally:
            _task_stack.pop()
            task.request_stack.pop()
            try:
                task.backend.process_cleanup()
                self._app.loader.on_process_cleanup()
            except MemoryError:
                raise
            except Exception:
                logger.exception("Process cleanup failed after task %s", attempt.name)

    async def _internal_error(self, task: Any, job: Job, attempt: Attempt | None, exc: Exception) -> Reply:
        """Report an error that is not the body's own, as Celery does: by signal, warning and a failure."""
        args, kwargs = (attempt.args, attempt.kwargs) if attempt else (None, None)
        _signal_internal_error(task, job.args[1], args, kwargs, job.args[2], exc)
        einfo = report_internal_error(task, exc)
        if attempt is not None:
            _leave_own_frames_out(exc)
            await self._network.call(_handle_error, attempt, exc, states.FAILURE)
        return 1, einfo, None


def _handle_error(attempt: Attempt, exc: BaseException, state: str) -> Any:
    """Have Celery handle the error; its handlers look for the exception that is being handled."""
    info = TraceInfo(state, exc)
    call_errbacks = state == states.FAILURE
    traceback = exc.__traceback__
    try:
        raise exc  # noqa: TRY301 - Celery's handlers ask for the exception being handled
    except BaseException:
        exc.__traceback__ = traceback or exc.__traceback__
        return info.handle_error_state(attempt.task, attempt.context, eager=False, call_errbacks=call_errbacks)


def _leave_own_frames_out(exc: BaseException) -> None:
    """Cut the tracer's frames off the traceback.

    They tell nobody anything, and Celery clears the frames of a handled error: it would end our own coroutines.
    """
    traceback = exc.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals.get("__name__", "").startswith("hive.pools."):
        traceback = traceback.tb_next
    exc.__traceback__ = traceback
