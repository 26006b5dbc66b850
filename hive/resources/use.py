"""What tasks and pool children of a worker really used, as looks at them saw it."""

from collections.abc import Mapping
from dataclasses import dataclass

from hive.resources.advice import TaskUse
from hive.resources.families import FamilyUse

MEGABYTE_BYTES = 1_048_576

#: Tasks whose use waits to be reported; later ones are not kept until that is done.
WAITING_USES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A task that a pool child runs.

    Attributes:
        id: of the task.
        agent_type: whose work it is; empty: nobody's.
    """

    id: str
    agent_type: str


@dataclass(slots=True)
class _Seen:
    running: Running
    since_s: float
    cpu_before_s: float
    memory_bytes: int = 0
    cpu_s: float = 0.0


class UseLog:
    """Makes of looks at pool children what each task used.

    A task counts from the look before it was first seen to the one that sees it gone, so one that is shorter than the time
    between two looks may not be seen at all, and a peak between two looks is not either.

    Args:
        every_s: longest seconds between two looks while tasks run; there may be more between others.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._seen: dict[int, _Seen] = {}
        self._last: dict[int, FamilyUse] = {}
        self._last_s = 0.0
        self._finished: list[tuple[str, TaskUse]] = []

    @property
    def children(self) -> Mapping[int, FamilyUse]:
        """What each pool child used at the last look."""
        return self._last

    def see(self, now_s: float, running: Mapping[int, Running], used: Mapping[int, FamilyUse]) -> None:
        """Take one look.

        Args:
            now_s: when, on a clock that only goes forward.
            running: the task of each pool child that has one.
            used: by each pool child.
        """
        for pid in [pid for pid, seen in self._seen.items() if running.get(pid) != seen.running]:
            self._end(now_s, self._seen.pop(pid), used.get(pid))
        for pid, task in running.items():
            use = used.get(pid)
            if use is None:
                continue
            if pid not in self._seen:
                before = self._last.get(pid)
                self._seen[pid] = _Seen(
                    task, max(self._last_s, now_s - self._every_s), use.cpu_s if before is None else before.cpu_s
                )
            seen = self._seen[pid]
            seen.memory_bytes = max(seen.memory_bytes, use.memory_bytes)
            seen.cpu_s = max(seen.cpu_s, use.cpu_s - seen.cpu_before_s)
        self._last, self._last_s = dict(used), now_s

    def take_finished(self) -> list[tuple[str, TaskUse]]:
        """Return what tasks used that have ended since the last call, each with its agent type."""
        taken, self._finished = self._finished, []
        return taken

    def _end(self, now_s: float, seen: _Seen, use: FamilyUse | None) -> None:
        if len(self._finished) >= WAITING_USES:
            return
        # What the child has used by now, unless it is gone or runs the next task already, is this one's too.
        cpu_s = seen.cpu_s if use is None else max(seen.cpu_s, use.cpu_s - seen.cpu_before_s)
        wall_s = max(now_s - seen.since_s, 0.001)
        task = TaskUse(memory_mb=seen.memory_bytes / MEGABYTE_BYTES, cpu_s=cpu_s, wall_s=wall_s)
        self._finished.append((seen.running.agent_type, task))
