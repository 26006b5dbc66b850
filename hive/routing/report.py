"""What a worker reports of its load, as it lies on the broker."""

import json
from dataclasses import dataclass
from typing import Any

from hive.routing.candidates import Worker
from hive.routing.keys import read_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """The load of a worker at one instant.

    Attributes:
        slots: tasks it runs at a time.
        busy: tasks it runs.
        held: tasks it holds that do not run yet.
        rate: tasks a slot of it finishes in a second of work; none: it has finished nothing lately.
        failed_share: of the tasks it finished lately, 0..1.
        cpu: utilisation of its host's processors, 0..1.
        memory: utilisation of its host's memory, 0..1.
        free_memory_mb: of its host.
        rests_s: seconds until it reports again, if that is longer than others take; 0: it is not.
        finished: tasks it has finished since it was started.
        keys: those whose calls it took last (:class:`~hive.routing.keys.RecentKeys`).
    """

    slots: int
    busy: int
    held: int
    rate: float | None = None
    failed_share: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    free_memory_mb: float = 0.0
    rests_s: float = 0.0
    finished: int = 0
    keys: str = ""

    def written(self) -> bytes:
        """Return it as JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps(
            {name: round(value, 4) if isinstance(value, float) else value for name, value in fields.items()}
        ).encode()


def is_fresh(written: bytes, age_s: float, fresh_s: float) -> bool:
    """Whether a report of some age still counts; one of a worker that rests does for as long as it rests, too.

    Args:
        written: the report.
        age_s: seconds since it was written.
        fresh_s: seconds that a report counts.
    """
    if age_s < fresh_s:
        return True
    try:
        return age_s < fresh_s + float(json.loads(written).get("rests_s", 0.0))
    except (AttributeError, TypeError, ValueError):
        return False


def finished_of(written: bytes) -> tuple[int, float | None]:
    """Return how many tasks a worker has finished since its start, and seconds a task takes it; None: it does not say.

    Args:
        written: its report.
    """
    try:
        known: dict[str, Any] = json.loads(written)
        rate = known["rate"]
        return int(known.get("finished", 0)), 1.0 / float(rate) if rate else None
    except (KeyError, TypeError, ValueError):
        return 0, None


def worker_of(name: str, waiting: int, written: bytes) -> Worker | None:
    """Return the worker that a report describes; None if a release with other figures wrote it.

    Args:
        name: of the worker.
        waiting: messages in its lane.
        written: the report.
    """
    try:
        known: dict[str, Any] = json.loads(written)
        rate = known["rate"]
        return Worker(
            name=name,
            slots=int(known["slots"]),
            busy=int(known["busy"]),
            queued=int(known["held"]) + waiting,
            rate=None if rate is None else float(rate),
            failed_share=float(known["failed_share"]),
            cpu=float(known["cpu"]),
            memory=float(known["memory"]),
            free_memory_mb=float(known["free_memory_mb"]),
            keys=read_keys(known.get("keys", "")),
        )
    except (KeyError, TypeError, ValueError):
        return None
