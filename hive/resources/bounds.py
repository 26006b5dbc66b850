"""What a pool child may use, with all processes that its task starts; and the end of one that uses more.

Two things keep a child within its memory, and both hold for root:

* ``RLIMIT_DATA`` on each process: the kernel gives it no more private memory, and the task gets a ``MemoryError``.
* A look at the whole family of the child five times a second: what is above its bound, in memory or in number of
  processes, is stopped as one, so that it can start nothing more, and killed. Its neighbours do not notice.

``RLIMIT_NPROC`` does not bind root, and a control group cannot be written in most containers: so neither is used.
"""

import os
import resource
import secrets
import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import psutil

from hive.resources.families import NOBODY, Families, FamilyUse, measure, measure_shared_once

#: Rounds in which a family is stopped until none of it is new; each round finds what was started before the one before.
STOP_ROUNDS = 50

#: Marks are greater than any memory, and less than what means "no limit".
LEAST_MARK = 1 << 61
PID_BITS = 24

MEGABYTE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What one pool child may use; 0: as much as it likes.

    Attributes:
        memory_bytes: resident, its processes together; and private memory of each of them.
        processes: that it may have started and that still run.
    """

    memory_bytes: int
    processes: int


class Bounded(StrEnum):
    """What is bounded."""

    MEMORY = "memory"
    PROCESSES = "processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """A pool child that used too much.

    Attributes:
        pid: its number.
        what: it used too much of.
        used: bytes or processes.
        bound: bytes or processes.
        killed: processes, its own included.
    """

    pid: int
    what: Bounded
    used: int
    bound: int
    killed: int

    def __str__(self) -> str:
        if self.what is Bounded.MEMORY:
            used, bound = self.used // MEGABYTE_BYTES, self.bound // MEGABYTE_BYTES
            return f"it used {used:,} MB of memory, {bound:,} MB are allowed"
        return f"it ran {self.used:,} processes, {self.bound:,} are allowed"


class Marks:
    """Marks on pool children, inherited by all they start, so that a process is known by it whose parent has ended.

    A mark is the hard limit on private memory: a number far above any memory, with a part that is this pool's alone and the
    number of the child. There are none where the system has no such limits, or bounds the process already.
    """

    def __init__(self) -> None:
        self._base = LEAST_MARK + (secrets.randbits(32) << PID_BITS)

    def put(self, child: int) -> None:
        """Mark a child that has just begun. A repeat changes nothing."""
        limits = data_limits(child)
        if limits == (resource.RLIM_INFINITY, resource.RLIM_INFINITY):
            set_data_limits(child, self._base + child, self._base + child)

    def bearer(self, pid: int) -> int:
        """Return the child whose mark a process bears; 0: none of this pool."""
        limits = data_limits(pid)
        number = 0 if limits is None else limits[1] - self._base
        return number if 0 < number < 1 << PID_BITS else NOBODY


class BoundsKeeper:
    """Looks at pool children, and ends those that use more than they may.

    Args:
        on_exceeded: told once of each child that is about to be killed, when all of its family is stopped.
        marks: of the pool.
    """

    def __init__(self, on_exceeded: Callable[[Exceeded], None], marks: Marks) -> None:
        self._on_exceeded = on_exceeded
        self._marks = marks
        self._families = Families(marks.bearer)
        self._limited: dict[int, int] = {}
        self._killed = set[int]()

    def look(self, bounds: Mapping[int, Bound]) -> dict[int, FamilyUse]:
        """Look once, and kill what uses too much; returns what each child uses. A repeat looks again.

        Args:
            bounds: of each pool child, by its number.
        """
        self._limit_data(bounds)
        used = {}
        for child, pids in self._families.look(bounds).items():
            use = used[child] = measure(pids)
            found = over(bounds[child], use)
            if found is not None:
                self._kill(child, bounds, found)
        return used

    def _limit_data(self, bounds: Mapping[int, Bound]) -> None:
        for pid, bound in bounds.items():
            if self._limited.get(pid) != bound.memory_bytes:
                limit_data(pid, bound.memory_bytes)
        self._limited = {pid: bound.memory_bytes for pid, bound in bounds.items()}

    def _kill(self, child: int, children: Collection[int], found: tuple[Bounded, int, int]) -> None:
        """Stop a family until none of it is new, say so, then kill it."""
        what, used, bound = found
        stopped: dict[int, None] = {}
        for _ in range(STOP_ROUNDS):
            new = [pid for pid in self._families.look(children).get(child, ()) if pid not in stopped]
            if not new:
                break
            for pid in new:
                send(pid, signal.SIGSTOP)
                stopped[pid] = None
        try:
            if child not in self._killed:
                self._killed = {child, *(self._killed & set(children))}
                self._on_exceeded(Exceeded(pid=child, what=what, used=used, bound=bound, killed=len(stopped)))
        finally:
            for pid in stopped:
                send(pid, signal.SIGKILL)
            self._sweep(child, set(stopped))

    def _sweep(self, child: int, killed: set[int]) -> None:
        """Kill whatever else bears a child's mark: with the child gone, no look would find what it had started."""
        for _ in range(STOP_ROUNDS):
            left = [pid for pid in psutil.pids() if pid not in killed and self._marks.bearer(pid) == child]
            if not left:
                return
            for pid in left:
                send(pid, signal.SIGKILL)
                killed.add(pid)


def over(bound: Bound, use: FamilyUse) -> tuple[Bounded, int, int] | None:
    """Return what is used too much of, how much, and the bound; None: all is within."""
    started = max(len(use.pids) - 1, 0)
    if bound.processes and started > bound.processes:
        return Bounded.PROCESSES, started, bound.processes
    if bound.memory_bytes and use.memory_bytes > bound.memory_bytes:
        # Forked processes share what they have not changed: only now it is worth its price to know how much.
        memory_bytes = use.memory_bytes if not started else measure_shared_once(use.pids)
        if memory_bytes > bound.memory_bytes:
            return Bounded.MEMORY, memory_bytes, bound.memory_bytes
    return None


def limit_data(pid: int, most_bytes: int) -> None:
    """Let a process, and what it starts from now on, have no more private memory than that; 0: as much as this one may.

    Nothing happens where the system has no such limits.
    """
    limits = data_limits(pid)
    if limits is not None:
        own, hard = resource.getrlimit(resource.RLIMIT_DATA)[0], limits[1]
        bounds = [
            bound for bound in (most_bytes or resource.RLIM_INFINITY, own, hard) if bound != resource.RLIM_INFINITY
        ]
        set_data_limits(pid, min(bounds, default=resource.RLIM_INFINITY), hard)


def data_limits(pid: int) -> tuple[int, int] | None:
    """Return the soft and the hard limit of a process on its private memory; None: it cannot be asked."""
    if not hasattr(resource, "prlimit"):
        return None
    try:
        return resource.prlimit(pid, resource.RLIMIT_DATA)
    except (ProcessLookupError, PermissionError):
        return None


def set_data_limits(pid: int, soft: int, hard: int) -> None:
    """Set both limits; those of a process that has ended, or is another user's now, are left to the look at its family."""
    with suppress(ProcessLookupError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_DATA, (soft, hard))


def send(pid: int, number: int) -> None:
    """Send a signal; one to a process that has ended is lost."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
