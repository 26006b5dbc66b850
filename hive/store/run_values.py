"""What goes into and comes out of the store about the runs of durable tasks."""

from dataclasses import dataclass
from enum import Enum

from hive.store.values import Outcome

#: Due time of what is parked without one: the year 9999.
FAR_MS = 253_370_764_800_000


class Begun(Enum):
    """What is known of a step that is about to begin."""

    BEGINS = 1
    """It begins now, and that is noted."""
    DONE = 2
    """It is done; its result is there."""
    UNKNOWN = 3
    """An earlier delivery began it and never said how it ended. Nothing was noted."""
    ALREADY = 0
    """The delivery had ended before."""
    STALE = -1
    """The delivery is another worker's now."""


class Signalled(Enum):
    """What became of a signal."""

    WOKEN = 1
    """A parked run goes on with it."""
    KEPT = 2
    """It waits for a run that asks for it."""
    NOT_PARKED = 0
    """There was no event, and the run waits for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBegin:
    """The reply to the begin of a step.

    Attributes:
        begun: what is known of it.
        unknown_count: deliveries that began it and never said how it ended.
        result: of a step that is done.
    """

    begun: Begun
    unknown_count: int = 0
    result: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run is parked.

    Attributes:
        task_id: whose run.
        queue: of its message.
        message_id: of its message.
        field: the step or wait.
        event: that it waits for; empty: a time.
        agent: whose signals it may take; empty: nobody's.
        due_ms: when it goes on by itself, on the broker's clock.
        told: as it stands on the broker.
    """

    task_id: str
    queue: str
    message_id: str
    field: str
    event: str = ""
    agent: str = ""
    due_ms: int = FAR_MS
    told: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """The reply to a park.

    Attributes:
        outcome: ``DONE``: it is parked or goes on; else nothing was changed.
        due_ms: when it goes on by itself; None: it goes on now.
        payload: of the signal with which it goes on; empty: its time has come.
    """

    outcome: Outcome
    due_ms: int | None = None
    payload: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of a run, as an operator sees it.

    Attributes:
        name: of the step.
        state: ``done``, ``begun`` or ``parked``.
        unknown_count: deliveries that began it and never said how it ended: so often may it have run besides.
    """

    name: str
    state: str
    unknown_count: int
