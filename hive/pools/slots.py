"""The slots of an asyncio pool: how many tasks run at once, and which wait."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from celery.utils.log import get_logger

from hive.pools.job import Job, JobState

logger = get_logger(__name__)

#: Seconds a cancelled coroutine may take before it is reported, and cancelled once more.
REPORT_AFTER_S = 1.0


class Runner(Protocol):
    """Starts a job; calls back when it has ended."""

    def __call__(self, job: Job, /) -> None:
        """Start ``job``."""


class Slots:
    """Jobs in order of arrival, as many of them running as there are slots. Used on the loop's thread only.

    Args:
        limit: slots.
        start: starts a job, which says with :meth:`release` that it has ended.
        on_busy: told when the first job starts and the last has ended.
        on_swallowed: told of a job that cannot be ended.
        cancel_wait_s: seconds a cancelled job may take to end.

    Attributes:
        running: jobs in a slot.
        swallowed_count: jobs that did not end within a second of their cancellation.
    """

    def __init__(
        self,
        limit: int,
        start: Runner,
        on_busy: Callable[[bool], None],
        on_swallowed: Callable[[Job], None],
        cancel_wait_s: float = 10.0,
    ) -> None:
        self.limit = limit
        self.running: set[Job] = set()
        self.waiting: deque[Job] = deque()
        self.swallowed_count = 0
        self._start = start
        self._on_busy = on_busy
        self._on_swallowed = on_swallowed
        self._cancel_wait_s = cancel_wait_s
        self._closed = False

    def submit(self, job: Job) -> None:
        """Start ``job``, or have it wait for a slot; hand it back if the pool is closed."""
        if self._closed:
            job.hand_back()
            job.state = JobState.ENDED
            return
        self.waiting.append(job)
        self._fill()

    def release(self, job: Job) -> None:
        """Note that ``job`` has ended, and start the next."""
        job.state = JobState.ENDED
        self._free(job)

    def resize(self, limit: int) -> None:
        """Have ``limit`` slots from now on; what runs beyond a smaller limit runs to its end."""
        self.limit = limit
        self._fill()

    def interrupt(self, job: Job) -> None:
        """Cancel ``job`` wherever it is. A repeat does nothing."""
        if job.state is JobState.WAITING:
            self._drop(job)
        elif job.interrupt():
            self._expect_end(job)

    def flush(self) -> None:
        """Forget what waits: its deliveries went back with the connection they came by."""
        while self.waiting:
            self.waiting.popleft().state = JobState.ENDED

    def close(self) -> None:
        """Start nothing more and hand back what waits. A repeat does nothing."""
        self._closed = True
        while self.waiting:
            job = self.waiting.popleft()
            job.hand_back()
            job.state = JobState.ENDED

    @property
    def has_coroutines(self) -> bool:
        """Whether coroutines run; plain functions cannot be ended, and nobody waits for their end."""
        return any(job.is_coroutine for job in tuple(self.running))

    def leave(self) -> None:
        """Cancel what runs because the worker stops; a plain function cannot be cancelled and goes back as it is."""
        for job in tuple(self.running):
            if job.is_coroutine:
                job.leave()
            else:
                job.hand_back()

    def hand_back(self) -> None:
        """Hand back what still runs."""
        for job in tuple(self.running):
            job.hand_back()

    def _fill(self) -> None:
        while self.waiting and len(self.running) < self.limit:
            job = self.waiting.popleft()
            if not self.running:
                self._on_busy(True)
            self.running.add(job)
            self._start(job)

    def _free(self, job: Job) -> None:
        self.running.discard(job)
        self._fill()
        if not self.running:
            self._on_busy(False)

    def _drop(self, job: Job) -> None:
        """Have a job that waits accepted and nothing more: Celery announces a revoke when a task is accepted."""
        self.waiting.remove(job)
        job.accept(asyncio.get_running_loop().time())
        job.state = JobState.ENDED

    def _expect_end(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(min(REPORT_AFTER_S, self._cancel_wait_s / 2), self._check_end, job)
        loop.call_later(self._cancel_wait_s, self._give_up, job)

    def _check_end(self, job: Job) -> None:
        if job.state is JobState.INTERRUPTED:
            self.swallowed_count += 1
            logger.error("%s did not end when it was cancelled: it swallows cancellation", job)
            if job.body is not None:
                job.body.interrupt()

    def _give_up(self, job: Job) -> None:
        if job.state is JobState.INTERRUPTED:
            job.state = JobState.ABANDONED
            self._free(job)
            self._on_swallowed(job)
