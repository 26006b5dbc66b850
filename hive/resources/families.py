"""Which processes belong to a pool child: those that it started, those that these started, and so on."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import psutil

#: Looks after which processes that belonged to nobody are asked for their parents again: a number may be used anew.
FORGET_AFTER_LOOKS = 25

#: A process that belongs to nobody.
NOBODY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyUse:
    """What a pool child and all processes that belong to it use.

    Attributes:
        pids: of all of them, the child's first.
        memory_bytes: resident, all together; pages that several of them share may count several times.
        cpu_s: processor seconds since they were started.
    """

    pids: tuple[int, ...]
    memory_bytes: int
    cpu_s: float


class Families:
    """Remembers who belongs to whom, so that a look costs little: only processes that are new are asked for their parents.

    A process stays in its family when its parent ends.

    Args:
        marked: returns the pool child whose mark a process has inherited, or 0: it has none. Asked of processes whose parent
            has ended before anybody looked.
    """

    def __init__(self, marked: Callable[[int], int] = lambda _: NOBODY) -> None:
        self._marked = marked
        self._owners: dict[int, int] = {}
        self._looks = 0

    def look(self, children: Collection[int]) -> dict[int, tuple[int, ...]]:
        """Return the processes of each pool child, its own number first; a child that is gone has none."""
        self._looks += 1
        if self._looks % FORGET_AFTER_LOOKS == 0:
            self._owners = {pid: owner for pid, owner in self._owners.items() if owner != NOBODY}
        living = set(psutil.pids())
        roots = living & set(children)
        self._owners = {
            pid: owner for pid, owner in self._owners.items() if pid in living and (owner in roots or owner == NOBODY)
        }
        parents = {pid: _parent(pid) for pid in living - self._owners.keys() - roots}
        for pid in parents:
            owner = self._owner(pid, parents, roots) or self._marked(pid)
            # One that bears the mark of a child not told of yet, because that has just begun, is asked again.
            if owner == NOBODY or owner in roots:
                self._owners[pid] = owner
        families: dict[int, list[int]] = {root: [root] for root in roots}
        for pid, owner in self._owners.items():
            if owner in roots and pid not in roots:
                families[owner].append(pid)
        return {root: tuple(pids) for root, pids in families.items()}

    def _owner(self, pid: int, parents: dict[int, int], roots: set[int]) -> int:
        seen = set[int]()
        while pid not in roots:
            if pid in seen or pid in self._owners:
                return self._owners.get(pid, NOBODY)
            seen.add(pid)
            pid = parents.get(pid, NOBODY)
        return pid


def measure(pids: Iterable[int]) -> FamilyUse:
    """Return what processes use together; those that have ended use nothing and are left out."""
    found, memory_bytes, cpu_s = [], 0, 0.0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                memory_bytes += process.memory_info().rss
                times = process.cpu_times()
        except psutil.Error:
            continue
        found.append(pid)
        cpu_s += times.user + times.system + times.children_user + times.children_system
    return FamilyUse(pids=tuple(found), memory_bytes=memory_bytes, cpu_s=cpu_s)


def measure_shared_once(pids: Iterable[int]) -> int:
    """Return the memory of processes in bytes, each shared page divided among all that share it; slower than a look."""
    total = 0
    for pid in pids:
        try:
            memory = psutil.Process(pid).memory_full_info()
        except psutil.Error:
            continue
        total += getattr(memory, "pss", memory.rss)
    return total


def _parent(pid: int) -> int:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return NOBODY
