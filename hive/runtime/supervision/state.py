"""What the supervisor of a home runs, for other commands to read."""

import os
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, ValidationError

from hive.runtime.home import Home
from hive.runtime.lock import FileLock


class PartState(StrEnum):
    """Where a part of a hive stands."""

    STARTING = "starting"  # its process runs, but does not serve yet
    READY = "ready"  # it serves
    WAITING = "waiting"  # it ended and is started again after a pause
    STOPPING = "stopping"  # it was told to end
    STOPPED = "stopped"  # it ended as told


class PartReport(BaseModel):
    """One part: a pool, beat or Flower.

    Attributes:
        name: an agent type, ``beat`` or ``flower``.
        state: where it stands.
        process_id: of its main process, while it has one.
        slots: of a pool.
        queues: which a pool consumes.
        restarts: times it was started again.
        last_end: how it ended last, in words.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    state: PartState
    process_id: int | None = None
    slots: int = 0
    queues: tuple[str, ...] = ()
    restarts: int = 0
    last_end: str = ""


class HiveReport(BaseModel):
    """Everything a supervisor runs.

    Attributes:
        process_id: the supervisor.
        app: path of the application that its pools serve.
        broker: its address, without password.
        owns_broker: whether the supervisor started the broker and ends it.
        started_at_ms: wall time.
        parts: pools first.
        broker_lost: whether the supervisor's broker has ended unasked and is not back yet.
        broker_restarts: times it was started again.
    """

    model_config = ConfigDict(frozen=True)

    process_id: int
    app: str
    broker: str
    owns_broker: bool
    started_at_ms: int
    parts: tuple[PartReport, ...]
    broker_lost: bool = False
    broker_restarts: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether every part serves."""
        return all(part.state is PartState.READY for part in self.parts)

    def pool(self, name: str) -> PartReport | None:
        """Return the pool of an agent type, if this supervisor has one."""
        return next((part for part in self.parts if part.name == name and part.slots), None)


def write_report(home: Home, report: HiveReport) -> None:
    """Put the report where others read it, in one step."""
    own = home.state.with_name(f"{home.state.name}.{os.getpid()}")
    own.write_text(report.model_dump_json())
    own.replace(home.state)


def read_report(home: Home) -> HiveReport | None:
    """Return the report of the supervisor that lives now; none if none lives, or it has not written one yet."""
    if not FileLock(home.supervisor_lock).is_taken():
        return None
    try:
        report = HiveReport.model_validate_json(home.state.read_text())
    except (FileNotFoundError, ValidationError):
        return None
    return report if report.process_id == FileLock(home.supervisor_lock).signature() else None
