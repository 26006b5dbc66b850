"""Celery's prefork pool with fewer turns of the event loop, and fewer system calls, for each task.

Stock, a task costs three turns of the worker's loop: one to write it to a child, one to read that the child has accepted
it, one to read its outcome; and two writes, of which the first wakes a child that then finds half a message. Here a task
is written at once if a child is idle, in one write, and all that children have reported is read in one turn. Which child
gets which task, and when, is as in Celery.
"""

import os
import select
from contextlib import suppress
from pickle import HIGHEST_PROTOCOL, dumps
from struct import pack
from typing import Any

from celery.concurrency import asynpool, prefork

from hive.pools.shrinking import ShrinkingPool
from hive.resources.bounds import Marks

#: What a pipe takes whole or not at all.
PIPE_BUFFER_BYTES = select.PIPE_BUF

#: Seconds between two looks for children that ended, where their ends are seen anyway.
MAINTAIN_EVERY_S = 60.0

#: Reports of one child that are read before the others are looked at again.
REPORTS_AT_ONCE = 16


class ResultHandler(asynpool.ResultHandler):
    """Reads what children report."""

    def _make_process_result(self, hub: Any) -> Any:
        """Return what is called when a child's pipe is readable: it reads one report after the other."""

        def keep(fileno: int, reader: Any, *args: Any) -> None:
            known = hub.readers.get(fileno)
            if known is None or known[0] is not reader:
                hub.add_reader(fileno, reader, *args)

        def on_readable(fileno: int) -> None:
            for _ in range(REPORTS_AT_ONCE):
                if fileno not in self.fileno_to_outq:
                    hub.remove_reader(fileno)
                    return
                report = self._recv_message(keep, fileno, self.on_state_change)
                try:
                    next(report)
                except StopIteration:
                    if not _is_readable(fileno):
                        return
                except (OSError, EOFError):
                    hub.remove_reader(fileno)
                    return
                else:
                    # Half of it is still to come; it goes on when the pipe is readable again.
                    hub.add_reader(fileno, report)
                    return

        return on_readable


class AsynPool(ShrinkingPool):
    """Hands tasks to children."""

    ResultHandler = ResultHandler
    _quick_put: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The base class starts the children.
        self.marks = Marks()
        #: Whether the end of a child is seen at once, so that nobody need look for it.
        self.sees_ends = has_process_descriptors()
        super().__init__(*args, **kwargs)

    @property
    def timers(self) -> dict[Any, float]:
        """What the event loop does by itself, and every how many seconds."""
        return {self.maintain_pool: MAINTAIN_EVERY_S} if self.sees_ends else super().timers

    def _create_worker_process(self, i: int) -> Any:
        process = super()._create_worker_process(i)
        self.marks.put(process.pid)
        return process

    def _track_child_process(self, proc: Any, hub: Any) -> None:
        """Watch a child by its descriptor where the system has one: it tells of the end when the end can be read.

        Celery's own, a pipe, tells too early, so that nothing is found, or late: when whatever the child has forked ends.
        """
        if self.sees_ends and not hasattr(proc, "_sentinel_poll"):
            # One that has been collected by now is not there to be watched: the pipe tells of it.
            with suppress(ProcessLookupError):
                proc._sentinel_poll = os.pidfd_open(proc.pid)
        super()._track_child_process(proc, hub)

    def flush(self) -> None:
        """Forget what waits for a child; what was sent to one is run there, whether or not it has said yet that it began.

        Celery forgets that, too: its outcome would be dropped, and its delivery go back at the worker's end and run again.
        """
        sent = [job for job in self._cache.values() if not job._accepted and job._write_to is not None]
        for job in sent:
            job._accepted = True
        try:
            super().flush()
        finally:
            for job in sent:
                # Its own word may have come meanwhile.
                job._accepted = job._time_accepted is not None

    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        """Look after a child that has ended.

        An event may be of another, whose descriptor had the same number: both ended in one turn, and this one is its
        successor by now. Believed, it would end the watch of a child that lives.
        """
        if proc._sentinel_poll is None or _is_readable(proc._sentinel_poll):
            super()._event_process_exit(hub, proc)

    def _create_write_handlers(self, hub: Any, *args: Any, **kwargs: Any) -> None:
        super()._create_write_handlers(hub, *args, **kwargs)
        put, write = self._quick_put, hub.consolidate_callback

        def send_job(message: tuple[Any, Any]) -> None:
            body = dumps(message, protocol=HIGHEST_PROTOCOL)
            if len(body) + 4 > PIPE_BUFFER_BYTES:
                put(message)
            else:
                # The whole message stands where Celery looks for its first four bytes.
                job = self._cache[message[1][0]]
                job._payload = memoryview(pack(">I", len(body)) + body), memoryview(b""), 0
                self.outbound_buffer.append(job)
            if self.sched_strategy == asynpool.SCHED_STRATEGY_FAIR:
                idle = self._all_inqueues - self._busy_workers - self._active_writes
                if idle:
                    write([next(iter(idle))])

        self._quick_put = send_job


class TaskPool(prefork.TaskPool):
    """Celery's pool of processes, over :class:`AsynPool`."""

    Pool = AsynPool


def has_process_descriptors() -> bool:
    """Whether the system gives descriptors of processes; some that run in containers refuse to."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def _is_readable(fileno: int) -> bool:
    poller = select.poll()
    poller.register(fileno, select.POLLIN)
    return bool(poller.poll(0))
