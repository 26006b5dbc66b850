"""The pool class that Celery's worker is given."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

from billiard.exceptions import WorkerLostError
from celery.app.trace import fast_trace_task, trace_task_ret
from celery.concurrency.base import BasePool
from celery.concurrency.prefork import _run_ready_callbacks
from celery.utils.log import get_logger
from celery.utils.nodenames import gethostname
from celery.worker import state as worker_state
from celery.worker.request import Request

from hive.clock import SystemClock
from hive.pools.attempt import is_coroutine_task
from hive.pools.job import Job
from hive.pools.lifespan import Lifespan
from hive.pools.mailbox import Mailbox
from hive.pools.network import Network
from hive.pools.process_loop import ProcessLoop
from hive.pools.slots import Slots
from hive.pools.threads import Threads
from hive.pools.tracer import CoroutineTracer
from hive.settings.parts import WorkerSettings

logger = get_logger(__name__)

#: What Celery hands to a pool to have a task traced.
TRACERS = frozenset({fast_trace_task, trace_task_ret})
#: Most threads for plain functions, whatever the number of slots.
FUNCTION_THREADS = 32
#: Seconds that cancelled tasks may take to clean up when the worker stops.
CLEAN_UP_S = 5.0


class AsyncioPool(BasePool):
    """Runs coroutine tasks on one event loop and plain functions on a bounded number of threads.

    Choose it with ``worker_pool = "hive.pools:AsyncioPool"``; ``worker_concurrency`` is the number of slots, and
    thousands of them are fine for tasks that wait.
    """

    signal_safe = False
    body_can_be_buffer = True
    task_join_will_block = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = SystemClock()
        self._functions = Threads("hive-function", FUNCTION_THREADS)
        self._network = Network()
        self._hub: Any = None
        self._process = _process_loop(self.app)
        self._is_coroutine: dict[str, bool] = {}
        self._unlimited: set[str] = set()
        self._stopped = False

    def on_start(self) -> None:
        """Start the loop and open what the application's lifespan opens.

        Raises:
            Exception: what a lifespan hook raised; the worker does not start then.
        """
        self._loop = self._process.thread
        self._mailbox = Mailbox(self._loop)
        hostname = (self.options.get("initargs") or (None, None))[1] or gethostname()
        self._tracer = CoroutineTracer(self.app, hostname, self._network, self._process.watch, self._clock)
        settings = getattr(self.app, "settings", None)
        worker = settings.worker if settings is not None else WorkerSettings()
        self._grace_s = worker.grace_s if settings is not None else float("inf")
        self._slots = Slots(
            self.limit, self._begin, self._process.watch.busy, self._swallowed, cancel_wait_s=worker.cancel_wait_s
        )
        self._loop.run(self._process.prepare()).result()

    def register_with_event_loop(self, loop: Any) -> None:
        """Report on the thread of the worker's hub from now on; called again after each reconnect."""
        self._hub = loop
        self._mailbox.use_hub(loop)

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,  # noqa: ARG002 - Celery passes none
        **options: Any,
    ) -> Job:
        """Take a task from the consumer; it starts as soon as a slot is free."""
        for limit in ("timeout", "soft_timeout"):
            options[limit] = options.get(limit) or self.options.get(limit)
        is_coroutine = target in TRACERS and self._runs_on_loop(args[0])
        if target in TRACERS and not is_coroutine and (options["timeout"] or options["soft_timeout"]):
            self._warn_of_limits(args[0])
        if is_coroutine and isinstance(request := getattr(options.get("callback"), "__self__", None), Request):
            # The request has decoded the message already.
            args = (*args[:3], request._payload, None, None)
        job = Job(target, args, self._mailbox, is_coroutine=is_coroutine, on_interrupt=self._interrupt, **options)
        self._loop.post(self._slots.submit, job)
        return job

    def _warn_of_limits(self, name: str) -> None:
        """Say once of each task that nothing can end a plain function's thread."""
        if name not in self._unlimited:
            self._unlimited.add(name)
            logger.warning(
                "task %s has time limits, which the asyncio pool cannot keep: its function is no `async def`, and runs "
                "in a thread. Make it one, or run it in a prefork pool",
                name,
            )

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Do nothing: Celery then terminates the job itself, and all jobs here share one process."""

    def grow(self, n: int = 1) -> None:
        """Add ``n`` slots at once."""
        self._resize(self.limit + n)

    def shrink(self, n: int = 1) -> None:
        """Take ``n`` slots away at once; tasks that run in them run to their end."""
        self._resize(max(self.limit - n, 0))

    def flush(self) -> None:
        """Forget tasks that wait for a slot: their connection is lost, and their deliveries went back with it."""
        self._loop.post(self._slots.flush)

    def on_stop(self) -> None:
        """Drain within the grace period, hand back the rest, close the lifespan. A repeat does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self._loop.post(self._slots.close)
        if not worker_state.should_terminate:
            process = getattr(self.app, "process", None)
            self._drain(float("inf") if process is not None and process.is_draining else self._grace_s)
        self._end()

    def on_terminate(self) -> None:
        """Cancel everything, hand it back and stop. A repeat does nothing."""
        if not self._stopped:
            self._stopped = True
            self._loop.post(self._slots.close)
            self._end()

    @property
    def num_processes(self) -> int:
        """Slots: Celery's name for it."""
        return int(self.limit)

    def _get_info(self) -> dict[str, Any]:
        return {
            **super()._get_info(),
            "running": len(self._slots.running),
            "waiting": len(self._slots.waiting),
            "threads": self._functions.count,
            "blocked": self._process.watch.blocked_count,
            "swallowed": self._slots.swallowed_count,
            "processes": [os.getpid()],
        }

    def _runs_on_loop(self, name: str) -> bool:
        found = self._is_coroutine.get(name)
        if found is None:
            found = self._is_coroutine[name] = is_coroutine_task(self.app.tasks[name])
        return found

    def _interrupt(self, job: Job) -> None:
        self._loop.post(self._slots.interrupt, job)

    def _resize(self, limit: int) -> None:
        self.limit = limit
        self._loop.post(self._slots.resize, limit)

    def _begin(self, job: Job) -> None:
        """Start a job in its slot; on the loop's thread."""
        if job.is_coroutine:
            task = asyncio.get_running_loop().create_task(self._perform(job))
            task.hive_owner = job  # type: ignore[attr-defined]
            job.task = task
        else:
            self._functions.submit(self._perform_function, job)

    async def _perform(self, job: Job) -> None:
        job.accept(self._clock.monotonic_s())
        try:
            job.finish(await self._tracer.trace(job))
        except asyncio.CancelledError:
            if not job.is_disowned:
                job.hand_back()
        except (SystemExit, KeyboardInterrupt) as exc:
            job.fail(WorkerLostError(f"the task wanted to end the process: {exc!r}"))
        except GeneratorExit:
            # The loop is gone, not the task: what it had goes back.
            raise
        except BaseException as exc:
            # Some libraries' errors are no exceptions; nobody else would end the task.
            job.fail(exc)
        finally:
            job.task = None
            self._slots.release(job)

    def _perform_function(self, job: Job) -> None:
        job.accept(self._clock.monotonic_s())
        try:
            job.finish(job.target(*job.args))
        except (SystemExit, KeyboardInterrupt) as exc:
            job.fail(WorkerLostError(f"the task wanted to end the process: {exc!r}"))
        except BaseException as exc:
            job.fail(exc)
        finally:
            self._loop.post(self._slots.release, job)

    def _swallowed(self, job: Job) -> None:
        """Have the process replaced: a coroutine that cannot be ended is in it."""
        logger.critical("%s cannot be ended; this worker drains and is replaced", job)
        self._mailbox.post(_replace_process)

    def _drain(self, timeout_s: float) -> None:
        """Take reports until nothing runs, at most ``timeout_s``; the hub's timers (heartbeats) go on meanwhile."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        while self._slots.running and self._clock.monotonic_s() < deadline_s:
            self._take_reports()
        self._take_reports()

    def _take_reports(self) -> None:
        self._mailbox.wait(0.1)
        if self._hub is not None:
            self._hub.fire_timers()
            _run_ready_callbacks(self._hub)

    def _end(self) -> None:
        deadline_s = self._clock.monotonic_s() + CLEAN_UP_S
        self._loop.post(self._slots.leave)
        while self._slots.has_coroutines and self._clock.monotonic_s() < deadline_s:
            self._take_reports()
            # Again, for bodies that began since.
            self._loop.post(self._slots.leave)
        self._loop.post(self._slots.hand_back)
        self._process.close()
        self._functions.shutdown()
        self._network.close()
        self._take_reports()


def _process_loop(app: Any) -> ProcessLoop:
    """Return the application's loop; a plain Celery application has none of its own."""
    process: ProcessLoop | None = getattr(app, "process_loop", None)
    return process or ProcessLoop(Lifespan(app))


def _replace_process() -> None:
    """Have the worker drain and start anew, as its own handler of SIGHUP does; without one it only stops."""
    if callable(signal.getsignal(signal.SIGHUP)):
        os.kill(os.getpid(), signal.SIGHUP)
    else:
        worker_state.should_stop = os.EX_TEMPFAIL
