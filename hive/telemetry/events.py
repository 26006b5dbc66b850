"""The events of delivery: what is measured, in which unit, and by which labels.

Sinks are Celery's event stream (each event under its name, the fields as they stand) and the Prometheus figures of
:mod:`hive.monitoring`. Labels have few values: a queue, a worker; never a message or a task id.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueObserved:
    """One queue at about one instant.

    Attributes:
        queue: its name.
        ready: messages that may be claimed now.
        ready_by_priority: the same by priority step.
        behind: messages that wait for their key's turn, behind the ready ones; they may be claimed as well.
        in_lanes: messages that wait in the lanes of single workers; they may be claimed as well.
        scheduled: messages that wait for their time.
        parked: those of them that wait for a signal, a sleep's end, or an agent that is not awake.
        suspects: messages that wait to be run alone, because they were started under deaths before.
        in_flight: messages that consumers hold.
        started: those of them whose bodies run.
        dead: dead letters.
        consumers: registered worker processes.
        oldest_age_s: seconds the ready message that is claimed next has been ready, or the oldest behind it if that is
            more; ``None`` if nothing is ready or its producer left no time (stock Celery).
        deduplicated_total: publishes dropped as repeats.
        promoted_total: scheduled messages made ready.
        redelivered_total: messages returned by a reap or a death.
        refused_total: steps of deliveries that were no longer current.
        reaped_total: dead consumers whose messages were returned.
        deaths_total: starts that ended with the death of their worker.
        dead_total: messages set aside.
        forgiven_total: gaps (broker away, clock step) after which all leases were extended.
        twins_total: calls that were handed the result of another, which held their key.
        refused_full_total: publishes refused because the queue was full.
        shed_total: messages set aside because the queue was full.
    """

    name: ClassVar[str] = "hive-queue"

    queue: str
    ready: int
    ready_by_priority: dict[int, int]
    scheduled: int
    suspects: int
    in_flight: int
    started: int
    dead: int
    consumers: int
    oldest_age_s: float | None
    deduplicated_total: int
    promoted_total: int
    redelivered_total: int
    refused_total: int
    reaped_total: int
    deaths_total: int
    dead_total: int
    forgiven_total: int
    behind: int = 0
    in_lanes: int = 0
    parked: int = 0
    twins_total: int = 0
    refused_full_total: int = 0
    shed_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerObserved:
    """One worker process.

    Attributes:
        worker: its node name.
        running: tasks whose bodies run.
        reserved: tasks it holds.
        local_breakers: breakers it decides alone, because the broker is away.
        late_renewals_total: renewals of the lease that came after half of it had passed.
        refused_total: its own steps that were refused because the delivery was another's.
        reconnects_total: times it connected to the broker again.
    """

    name: ClassVar[str] = "hive-worker"

    worker: str
    running: int
    reserved: int
    local_breakers: int
    late_renewals_total: int
    refused_total: int
    reconnects_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettered:
    """A message became a dead letter; sent once at most, by one of the queue's workers.

    Attributes:
        queue: where it lies.
        reason: the short word.
        letter: its id, to look at it with; no label.
        at_ms: when it was set aside, on the broker's clock.
    """

    name: ClassVar[str] = "hive-dead-letter"

    queue: str
    reason: str
    letter: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerTurned:
    """A worker learned that a breaker stands otherwise; each worker that uses it sends one.

    Attributes:
        breaker: the dependency.
        state: ``closed``, ``open`` or ``half-open``.
        source: ``broker``, or ``local`` while the broker is away and the worker decides alone.
    """

    name: ClassVar[str] = "hive-breaker"

    breaker: str
    state: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRefused:
    """A guard let a task not run now; the event carries the task's id as Celery's own events of tasks do.

    Attributes:
        guard: kind and name, such as ``breaker:openai``, or ``deadline``.
        action: ``wait`` (back to the scheduled set), ``fallback`` or ``fail``.
        queue: where its message came from.
        task: its name.
        due_ms: when it is asked again, on the broker's clock; ``None``: never.
    """

    name: ClassVar[str] = "hive-guard"

    guard: str
    action: str
    queue: str
    task: str
    due_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed:
    """An attempt of a task with a retry strategy failed; the event carries the task's id as Celery's own events do.

    Attributes:
        task: its name.
        cause: why, one of nine words.
        retries: made before this attempt failed.
        delay_s: seconds until the next attempt; ``None``: there is none.
        strategy: what decided.
        why: on what grounds, as a sentence.
    """

    name: ClassVar[str] = "hive-failure"

    task: str
    cause: str
    retries: int
    delay_s: float | None
    strategy: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildExceeded:
    """A pool child used more than it may and was killed; the event carries the task's id as Celery's own events do.

    Attributes:
        task: its name; empty: the child ran none.
        resource: ``memory`` or ``processes``.
        used: bytes, or processes it had started.
        bound: bytes or processes that are allowed.
        killed: processes, its own included.
    """

    name: ClassVar[str] = "hive-child"

    task: str
    resource: str
    used: int
    bound: int
    killed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolScaled:
    """A scaler decided on another size.

    Attributes:
        agent_type: whose pool.
        scope: the node name of the worker that changes its own slots, or ``fleet``: workers are started or drained.
        workers: that the agent type is to have; 1 if a worker decides for itself.
        override: slots that somebody asked for; ``None``: demand decides.
        term: of the leader who decided; ``None``: a worker did for itself.
        decision: target and wanted slots, reason, and all that was seen, by name.
    """

    name: ClassVar[str] = "hive-scaled"

    agent_type: str
    scope: str
    workers: int
    override: int | None
    term: int | None
    decision: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointDamaged:
    """Something of an agent's checkpoints was found damaged or missing.

    Attributes:
        agent: whose; no label.
        source: ``cache``: on the broker; ``database``: in SQLite or PostgreSQL.
        generation: of which checkpoint; ``None``: the entry that says which is the newest.
        reason: what is wrong, as a sentence.
    """

    name: ClassVar[str] = "hive-checkpoint-damaged"

    agent: str
    source: str
    generation: int | None
    reason: str


Event = (
    QueueObserved
    | WorkerObserved
    | DeadLettered
    | BreakerTurned
    | GuardRefused
    | TaskFailed
    | ChildExceeded
    | PoolScaled
    | CheckpointDamaged
)

EVENTS: tuple[type[Event], ...] = (
    QueueObserved,
    WorkerObserved,
    DeadLettered,
    BreakerTurned,
    GuardRefused,
    TaskFailed,
    ChildExceeded,
    PoolScaled,
    CheckpointDamaged,
)


def fields_of(event: Event) -> dict[str, Any]:
    """Return what is sent with an event, ready for JSON."""
    return asdict(event)
