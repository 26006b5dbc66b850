"""What a publish may be bound by: a key that one task at a time holds, and the length of its queue."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniqueness:
    """A key that one task of a queue holds at a time.

    Attributes:
        digest: stands for the key; of any length.
        task_id: of the task to be published, which holds the key if nobody does.
        within_s: seconds it holds the key at most, from its publish or, if that is later, from its due time.
        until_done: whether it gives the key back when its message has ended.
    """

    digest: str
    task_id: str
    within_s: float
    until_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How many messages may wait in a queue.

    Attributes:
        max_length: ready, scheduled and suspects together; what consumers hold does not count.
        sheds: whether the lowest priority becomes a dead letter where there is no room; else the publish is refused.
        wait_s: seconds the caller is to wait for room, for whoever catches the refusal.
    """

    max_length: int
    sheds: bool = False
    wait_s: float = 0.0


class Admittance(Enum):
    """What became of a guarded publish."""

    TAKEN = 1
    """It is on the broker."""
    REPEAT = 0
    """It was there already, by the same publish."""
    TWIN = 2
    """Another task holds its key; nothing was published."""
    FULL = 3
    """There is no room; nothing was published."""
    SHED = 4
    """There is no room and nothing of lower priority waits: it is a dead letter itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The reply to a guarded publish.

    Attributes:
        kind: what became of it.
        twin: id of the task that holds the key, if another one does.
        length: messages that wait, where there was no room.
    """

    kind: Admittance
    twin: str | None = None
    length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a publish is bound by.

    Attributes:
        uniqueness: the key it asks for, if any.
        bound: the length of its queue, if that is bounded.
        tell: told what became of it.
    """

    uniqueness: Uniqueness | None = None
    bound: Bound | None = None
    tell: Callable[[Admission], None] | None = None
