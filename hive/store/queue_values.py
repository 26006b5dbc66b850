"""What the store says of a queue as a whole: values without behaviour."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledMessage:
    """A message that waits for its time.

    Attributes:
        message_id: its id.
        due_ms: when it becomes ready, on the broker's clock.
        priority: the step it will wait under.
        payload: the envelope.
    """

    message_id: str
    due_ms: int
    priority: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """What one batch of giving a queue back to stock Celery moved to the ready lists.

    Attributes:
        in_flight: held by consumers that are dead.
        scheduled: waited for their time.
        suspects: waited to be run alone.
        dead: were dead letters.
        remaining: how many are still to be moved; call again until 0.
        behind: waited for their key's turn.
    """

    in_flight: int
    scheduled: int
    suspects: int
    dead: int
    remaining: int
    behind: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What one batch of taking over stock Celery's unacknowledged messages did.

    Attributes:
        adopted: messages that are in their ready lists now.
        left: delivery tags of records that cannot be read or lead to no queue; they stay where they are.
        remaining: how many more are old enough; call again until 0.
    """

    adopted: int
    left: tuple[str, ...]
    remaining: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """How many messages a purge removed; dead letters and what is in flight stay.

    Attributes:
        ready: from the ready lists.
        scheduled: from the scheduled set.
        suspects: from those that were to be run alone.
        behind: from those that waited for their key's turn.
    """

    ready: int
    scheduled: int
    suspects: int
    behind: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """Figures of one queue at about one instant.

    Attributes:
        queue: its name.
        ready: messages by priority step.
        scheduled: messages that wait for their time.
        suspects: messages that wait to be run alone.
        in_flight: messages held by consumers.
        started: those of them whose bodies were started.
        dead: dead letters.
        consumers: registered consumers.
        counters: totals since the queue exists, by name (see ``hive.store.keys``).
        oldest: the ready message that waited longest, for its age; ``None`` if there is none.
        epoch: grows whenever the broker is seen with another run id.
        behind: messages that wait for their key's turn, behind the ready lists.
        oldest_behind: the one of them that waited longest.
    """

    queue: str
    ready: dict[int, int]
    scheduled: int
    suspects: int
    in_flight: int
    started: int
    dead: int
    consumers: int
    counters: dict[str, int]
    oldest: bytes | None
    epoch: int
    behind: int = 0
    oldest_behind: bytes | None = None
