"""What a consumer keeps in mind of a delivery and of a claim."""

from dataclasses import dataclass


@dataclass(slots=True)
class Held:
    """What the consumer knows of a delivery it holds.

    Attributes:
        started: whether its start is on record, so that it survives the loss of the connection.
        is_clean: whether nothing is known of its message, so that the reply to its start has nothing to tell.
        is_redelivered: whether a start of its message ended before this one, with a death or put back by its task.
    """

    started: bool = False
    is_clean: bool = False
    is_redelivered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A claim whose reply has not arrived; it is repeated word for word until one does."""

    queues: tuple[str, ...]
    sequence: int
    credit: int
    idle: bool
