"""What goes into the store and comes out of it for messages and consumers: values without behaviour.

Those of which there is one or more for every message are named tuples: they are made, hashed and compared in C.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from hive.store.guard import Guard
from hive.store.turn import Fair


class ClaimStatus(Enum):
    """What a claim came to."""

    TAKEN = "taken"
    """The deliveries, possibly none, are the consumer's."""
    UNREGISTERED = "unregistered"
    """The consumer is not registered on one of the queues (never was, or was reaped): it must register anew."""
    LATE = "late"
    """A newer claim of the same consumer has been answered already; nothing was taken."""
    DRAIN = "drain"
    """A suspect waits and it is this consumer's turn: take nothing more, and claim with ``idle`` once empty."""
    ALONE = "alone"
    """The consumer holds a suspect, which runs alone; nothing was taken."""


class Outcome(Enum):
    """What became of a step that names a delivery."""

    DONE = 1
    """The delivery was current; the step was carried out and the delivery has ended."""
    ALREADY = 0
    """The consumer is registered but holds no such delivery: it ended before, by this consumer itself."""
    STALE = -1
    """The consumer is not registered any more; its deliveries have been given to others. Nothing was changed."""


class Fate(Enum):
    """Where a message went whose worker or pool child died under it."""

    READY = "ready"
    """Back to the queue; it will be claimed next."""
    SUSPECT = "suspect"
    """One death short of the limit: it will be run alone."""
    DEAD = "dead"
    """At the limit: it is a dead letter now."""
    ALREADY = "already"
    """The delivery had ended before; nothing was counted."""
    STALE = "stale"
    """The consumer is not registered any more; nothing was counted."""


class DeliveryId(NamedTuple):
    """Names one delivery.

    Attributes:
        queue: the queue it was claimed from, without key prefix.
        token: its fencing token, in microseconds of the broker's time or more; grows within the queue.
    """

    queue: str
    token: int


class Delivery(NamedTuple):
    """One handing of a message to one consumer.

    Attributes:
        id: queue and fencing token, to be named in every later step.
        priority: the priority step the message waited under.
        payload: the envelope exactly as it was published.
        suspect: whether the message must run with nothing else in its worker process.
    """

    id: DeliveryId
    priority: int
    payload: bytes
    suspect: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The reply to a claim.

    Attributes:
        status: whether the claim was carried out.
        deliveries: what was taken, in the order in which it is to run.
        more: whether ready messages were left behind (credit or bytes ran out).
        suspects_waiting: whether a suspect waits for an idle process on one of the queues.
        due_in_s: seconds until the next scheduled message is due; ``None``: none is scheduled, or not looked for.
        is_clean: whether no message of these queues has died, or was put back by its task, as far as is kept; so the
            reply to a start has nothing to tell.
    """

    status: ClaimStatus
    deliveries: tuple[Delivery, ...] = ()
    more: bool = False
    suspects_waiting: bool = False
    due_in_s: float | None = None
    is_clean: bool = False


class Following(Enum):
    """What became of a message that follows from a delivery."""

    PUBLISHED = 1
    """It is on the broker."""
    REPEAT = 2
    """The same message of this or an earlier delivery is on the broker already; nothing was changed."""
    ALREADY = 0
    """The delivery had ended before; nothing was published."""
    STALE = -1
    """The delivery is another worker's now; nothing was published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The delivery a message follows from.

    Attributes:
        consumer: who holds it.
        delivery: which.
        message_id: under which its starts are counted.
    """

    consumer: str
    delivery: DeliveryId
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to publish.

    Attributes:
        queue: where to, without key prefix.
        payload: the envelope; stored byte for byte.
        message_id: kombu's delivery tag, or any id of this message alone.
        priority: 0..9, brought down to one of the queue's steps.
        dedup_id: the same id again within ``publish_dedup_s`` is dropped; ``None``: never.
        due_ms: instant on the broker's clock before which it is not claimable; ``None``: now.
        follows: the delivery it follows from; ``None``: it stands alone.
        guard: the key it asks for and the bound of its queue; ``None``: it is published as it is.
        fair: whose turn it waits for once it is due; ``None``: it goes to the end of the ready list.
        lane: the worker whose lane it goes to, if it is ready, alone and unguarded and that worker lives.
    """

    queue: str
    payload: bytes
    message_id: str
    priority: int = 0
    dedup_id: str | None = None
    due_ms: int | None = None
    follows: "Source | None" = None
    guard: Guard | None = None
    fair: Fair | None = None
    lane: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerInfo:
    """Who a consumer is, for operators.

    Attributes:
        node: Celery's node name of the worker.
        pid: process id on its host.
        version: hive's version in that process.
        started_ms: when the process registered first, by its own clock.
    """

    node: str
    pid: int
    version: str
    started_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerRecord:
    """A registered consumer as the broker knows it.

    Attributes:
        consumer: its id.
        lease_end_ms: when its lease ends unless renewed; 0 while it is being reaped.
        info: who it is; ``None`` if it never said.
        in_flight: messages it holds.
        started: those of them whose bodies have been started.
    """

    consumer: str
    lease_end_ms: int
    info: ConsumerInfo | None
    in_flight: int
    started: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The reply to a registration on one queue.

    Attributes:
        queue: the queue.
        epoch: grows whenever the broker is seen with another run id (restart, failover).
    """

    queue: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """The reply to a renewal on one queue.

    Attributes:
        queue: the queue.
        registered: whether the lease was extended; otherwise all the consumer held there is lost to it.
        in_flight: messages the broker has on record for the consumer.
        promoted: scheduled messages that became ready by this call.
    """

    queue: str
    registered: bool
    in_flight: int = 0
    promoted: int = 0


class Start(NamedTuple):
    """Says that the body of a delivery is about to run.

    Attributes:
        id: the delivery.
        message_id: kombu's delivery tag, under which deaths are counted.
    """

    id: DeliveryId
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery that is to wait on the broker.

    Attributes:
        id: the delivery.
        message_id: name of its message.
        due_ms: until when, in milliseconds since 1970.
        fair: whose turn it waits for then.
    """

    id: DeliveryId
    message_id: str
    due_ms: int
    fair: Fair | None = None


class Started(NamedTuple):
    """The reply to a start.

    Attributes:
        id: the delivery.
        outcome: ``DONE``: run it; otherwise it must not run.
        deaths: starts of this message that ended with a death before.
        put_back: whether its task asked before to have it delivered again.
    """

    id: DeliveryId
    outcome: Outcome
    deaths: int = 0
    put_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """A result to be written as Celery's Redis backend writes it.

    Attributes:
        key: full name of the key; the store's prefix is not put before it.
        value: the encoded result.
        ttl_ms: how long it is kept; ``None``: for ever.
        channel: where it is announced with its value; ``None``: nowhere.
    """

    key: str
    value: bytes
    ttl_ms: int | None
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The reply to a look for ended leases on one queue.

    Attributes:
        queue: the queue.
        forgiven: a gap, another run id or time running backwards was seen, and all leases were extended by one term.
        consumers: how many are registered, those to be reaped among them.
        next_end_s: seconds to the end of the lease that ends next unless it is renewed, of the living and of who asks;
            ``None``: there is none, or all were just extended.
        expired: consumers to be reaped, at most a hundred.
    """

    queue: str
    forgiven: bool
    consumers: int
    next_end_s: float | None = None
    expired: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reap:
    """What one batch of reaping did.

    Attributes:
        reaped: false if the consumer turned out alive, or the last look too old to be trusted; nothing was changed.
        returned: messages back to ready, uncounted or counted below the limit.
        suspects: messages that will be run alone.
        dead: messages that became dead letters.
        remaining: messages of the consumer still to be returned; call again until 0.
    """

    reaped: bool
    returned: int = 0
    suspects: int = 0
    dead: int = 0
    remaining: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How one delivery of a message ended other than well; in a dead letter's history also when it was redriven.

    Attributes:
        consumer: id of the consumer that held it; empty for a redrive.
        at_ms: when it was noticed, on the broker's clock.
        how: what happened, as far as known.
        worker: node name of its worker, if it said.
    """

    consumer: str
    at_ms: int
    how: str
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message set aside, with the reason.

    Attributes:
        id: unique among the queue's dead letters.
        queue: where it came from.
        priority: the step it waited under.
        message_id: its id if it could be read.
        reason: a short word, such as ``max_deliveries`` or ``undecodable``.
        cause: a sentence for the operator.
        at_ms: when it was set aside, on the broker's clock.
        history: how its deliveries ended and when it was redriven, oldest first, at most the last twenty or so.
        payload: the bytes as published, or as edited since.
        traceback: where it failed, if something was raised.
        redriven: how often it had been redriven before.
        edited_at_ms: when an operator replaced its bytes.
        record: all of this but the payload as it stands on the broker, for a copy of it.
    """

    id: str
    queue: str
    priority: int
    message_id: str | None
    reason: str
    cause: str
    at_ms: int
    history: tuple[Death, ...]
    payload: bytes
    traceback: str = ""
    redriven: int = 0
    edited_at_ms: int | None = None
    record: bytes = b""
