"""What is said of a delivery that cannot succeed here: values without behaviour."""

from dataclasses import dataclass
from enum import Enum

from hive.store.values import DeliveryId


@dataclass(frozen=True, slots=True, kw_only=True)
class Condemned:
    """A delivery that is to become a dead letter.

    Attributes:
        id: the delivery.
        reason: a short word to count and filter by.
        cause: a sentence for the operator.
        message_id: if it could be read.
        traceback: where it failed, if something was raised.
    """

    id: DeliveryId
    reason: str
    cause: str
    message_id: str | None = None
    traceback: str = ""


class Postponed(Enum):
    """What came of a delivery that was to wait for a worker that knows its task."""

    WAITS = "waits"
    """It is in the scheduled set; nothing was counted."""
    OVER = "over"
    """Its grace time is over; nothing was changed."""
    ALREADY = "already"
    """The delivery had ended before."""
    STALE = "stale"
    """The consumer is not registered any more; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A message that has become a dead letter.

    Attributes:
        id: the dead letter's.
        reason: its short word.
        cause: its sentence.
        at_ms: when, on the broker's clock.
    """

    id: str
    reason: str
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """The dead letters of a queue at one instant, and those nobody has been told of.

    Attributes:
        queue: its name.
        count: dead letters there are.
        bytes: they hold.
        oldest_age_s: seconds since the oldest was set aside; ``None``: there is none.
        arrived: those to be told of; each is handed out again if nobody says that it was told.
    """

    queue: str
    count: int
    bytes: int
    oldest_age_s: float | None
    arrived: tuple[Arrival, ...]
