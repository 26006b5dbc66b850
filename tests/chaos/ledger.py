"""What happened, read from the effects, and the verdict on it in four words."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One line of the effects.

    Attributes:
        kind: ``s`` started, ``f`` finished, ``r`` asked for a retry, ``i`` about to be published, ``p``
            published, ``up`` a worker consumes.
        id: of the task.
        worker: where.
        pid: process.
        at_s: on the monotonic clock.
    """

    kind: str
    id: str
    worker: str
    pid: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The four words.

    Attributes:
        lost: accepted tasks that neither finished nor are dead letters.
        duplicated: starts that no fault excuses: beyond one, and one for each fault the task was started under.
        recovered: tasks that a fault interrupted and that finished all the same.
        unexpected: what should not be there at all: ids nobody published, tasks dead-lettered that kill nobody.
    """

    lost: int
    duplicated: int
    recovered: int
    unexpected: int

    def as_dict(self) -> dict[str, int]:
        """Return the words and their counts."""
        return asdict(self)


@dataclass(slots=True)
class Ledger:
    """Reads the effects as they grow.

    Args:
        path: the file of effects.
    """

    path: Path
    effects: list[Effect] = field(default_factory=list)
    starts: dict[str, list[Effect]] = field(default_factory=lambda: defaultdict(list))
    finishes: dict[str, list[Effect]] = field(default_factory=lambda: defaultdict(list))
    published: set[str] = field(default_factory=set)
    intended: set[str] = field(default_factory=set)
    _offset: int = 0

    def read(self) -> "Ledger":
        """Take in the whole lines written since the last call."""
        if not self.path.exists():
            return self
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode().splitlines():
            kind, id_, worker, pid, at_ns = line.split(" ")
            self._take(Effect(kind=kind, id=id_, worker=worker, pid=int(pid), at_s=int(at_ns) / 1e9))
        return self

    def _take(self, effect: Effect) -> None:
        self.effects.append(effect)
        if effect.kind == "s":
            self.starts[effect.id].append(effect)
        elif effect.kind == "f":
            self.finishes[effect.id].append(effect)
        elif effect.kind == "p":
            self.published.add(effect.id)
        elif effect.kind == "i":
            self.intended.add(effect.id)

    def finished(self) -> int:
        """Return how many tasks finished at least once."""
        return len(self.read().finishes)

    def missing(self) -> set[str]:
        """Return the tasks that were accepted and have not finished."""
        self.read()
        return self.published - set(self.finishes)

    def of(self, kind: str) -> list[Effect]:
        """Return all effects of a kind, in the order of writing."""
        return [effect for effect in self.read().effects if effect.kind == kind]

    def verdict(self, *, ended: Iterable[str] = (), dead: Iterable[str] = (), killers: Iterable[str] = ()) -> Verdict:
        """Judge.

        Args:
            ended: workers that a fault ended, or whose lease it took: a start there excuses one more.
            dead: ids of the tasks that are dead letters.
            killers: ids of tasks that are to become dead letters.
        """
        self.read()
        faulty, set_aside, meant = set(ended), set(dead), set(killers)
        done = set(self.finishes)
        duplicated = recovered = 0
        for id_, starts in self.starts.items():
            excused = sum(start.worker in faulty for start in starts[:-1])
            duplicated += len(starts) - 1 - excused
            recovered += excused > 0 and id_ in done
        return Verdict(
            lost=len(self.published - done - set_aside),
            duplicated=duplicated,
            recovered=recovered,
            unexpected=len(set(self.starts) - self.published - self.intended) + len(set_aside ^ meant),
        )
