"""The parts of the settings, one class each: meaning, unit, default and consequence beside every field."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr, field_validator

#: Schemes of the brokers that hive's transport speaks to.
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel")


class Part(BaseModel):
    """One part of the settings: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class BrokerSettings(Part):
    """Where messages wait."""

    url: SecretStr | None = Field(
        None,
        description="Address of the broker: redis://, rediss://, redis+socket:// or sentinel://. "
        "Unset: the broker that hive itself runs on this machine.",
    )
    key_prefix: str = Field(
        "",
        description="Put before every key, so that several applications share one Redis. All processes of one "
        "application must agree on it.",
    )
    socket_timeout_s: PositiveFloat = Field(
        5.0,
        description="Seconds a command may wait for its reply before the connection counts as lost. Shorter notices a "
        "dead broker sooner, longer forgives a slow one.",
    )
    connect_timeout_s: PositiveFloat = Field(3.0, description="Seconds to wait for a connection to the broker.")

    @field_validator("url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        # Several addresses that fail over to one another are divided by semicolons.
        for address in url.get_secret_value().split(";") if url is not None else ():
            if address.partition("://")[0] not in BROKER_SCHEMES or "://" not in address:
                begins = " or ".join(f"{scheme}://" for scheme in BROKER_SCHEMES)
                raise ValueError(f"an address of Redis or Valkey begins with {begins}")
        return url


class EmbeddedSettings(Part):
    """The broker that hive runs by itself where no address is given."""

    port: int = Field(
        0, ge=0, le=65535, description="TCP port on 127.0.0.1, with a password; 0 listens on a unix socket only."
    )
    appendfsync: Literal["always", "everysec", "no"] = Field(
        "everysec",
        description="When accepted messages reach the disk. `everysec` can lose one second if the machine (not just "
        "the broker) dies, `always` loses nothing and is several times slower, `no` leaves it to the kernel.",
    )
    max_memory_mb: int = Field(
        0,
        ge=0,
        description="Megabytes of messages before publishing is refused (nothing is ever evicted); 0: no bound.",
    )
    start_timeout_s: PositiveFloat = Field(10.0, description="Seconds the broker may take to answer after its start.")


class DeliverySettings(Part):
    """Leases, counts and batches: how a message reaches exactly one living worker."""

    lease_s: PositiveFloat = Field(
        6.0,
        description="Seconds a worker process holds its messages after its last sign of life. Shorter returns the work "
        "of a dead worker sooner, longer survives longer pauses of its host.",
    )
    renew_every_s: PositiveFloat = Field(
        1.5,
        description="Seconds between renewals of the lease; at most a third of lease_s, so that two may fail. A worker that "
        "holds nothing and has no other beside it renews every three eighths of lease_s.",
    )
    reap_every_s: PositiveFloat = Field(
        0.5,
        description="Seconds between two looks of each worker for leases that have ended; at most a fifth of lease_s.",
    )
    max_deliveries: PositiveInt = Field(
        3,
        description="Starts that may end with the death of the worker before a message becomes a dead letter. 1 never "
        "tries again after a crash.",
    )
    poll_every_s: PositiveFloat = Field(
        3.0,
        description="Longest seconds an idle worker sleeps before it looks by itself. Messages published by a stock "
        "Celery producer, which does not wake anybody, wait this long at most, or until the next renewal of a lease on "
        "their queue (renew_every_s; three eighths of lease_s where a single worker has nothing to do).",
    )
    claim_max_messages: PositiveInt = Field(
        100, description="Messages one claim may take at most, whatever room the worker has."
    )
    claim_max_bytes: PositiveInt = Field(
        1_048_576,
        description="Bytes after which a claim stops (it always takes one message), so that the broker stays responsive.",
    )
    max_message_bytes: PositiveInt = Field(
        16_777_216, description="Largest message in bytes; `.delay()` refuses a larger one with its size."
    )
    flush_every_s: PositiveFloat = Field(
        0.005, description="Longest seconds an acknowledgement waits for others to be sent in the same round trip."
    )
    publish_dedup_s: PositiveFloat = Field(
        60.0, description="Seconds during which the same message published again (a repeat after an error) is dropped."
    )
    idempotency_s: PositiveFloat = Field(
        86_400.0,
        description="Seconds a call with an idempotency_key holds it: a second one with the same key is handed the first "
        "one's result. A task with `unique=` says its own time.",
    )
    wire_version: PositiveInt = Field(
        1,
        description="Format on the broker. A worker refuses a newer one than it knows; lower it only during a rolling "
        "deploy.",
    )


class QueueBound(Part):
    """How many messages may wait in a queue, and what happens to a call that finds no room."""

    max_length: PositiveInt = Field(
        description="Messages that may wait in the queue: ready, scheduled and suspects. What workers hold is not counted, "
        "and neither retries nor redeliveries are ever refused. Stock Celery producers do not keep to it."
    )
    when_full: Literal["raise", "wait", "shed"] = Field(
        "raise",
        description="`raise` QueueFull; `wait` for room, up to wait_s, then raise it; `shed` the newest ready message of the "
        "lowest priority, which becomes a dead letter: the call itself, if nothing of a lower priority waits.",
    )
    wait_s: PositiveFloat = Field(10.0, description="Longest seconds a call waits for room.")


class BackpressureSettings(Part):
    """Bounds of queues. All processes that publish must have the same."""

    queues: dict[str, QueueBound] = Field(
        default_factory=dict,
        description="Bounds by name of the queue. An agent type has its own in its table (`bound`); one here wins.",
    )


class DeadSettings(Part):
    """Dead letters: what becomes one, and how many of them the broker keeps."""

    unknown_task_grace_s: PositiveFloat = Field(
        300.0,
        description="Seconds a message whose task no worker of its queue knows waits on the broker, uncounted, for one "
        "that does: longer than a rolling deploy takes.",
    )
    max_depth: PositiveInt = Field(
        500,
        description="Levels of lists and mappings in a message's body; deeper ones become dead letters, because Python "
        "cannot be trusted to follow them.",
    )
    max_count: PositiveInt = Field(
        100_000, description="Dead letters a queue keeps on the broker; past that the oldest go to the archive."
    )
    max_bytes: PositiveInt = Field(
        268_435_456, description="Bytes of dead letters a queue keeps on the broker; past that the oldest are archived."
    )
    max_age_s: PositiveFloat = Field(
        2_592_000.0, description="Seconds a dead letter stays on the broker before it goes to the archive."
    )
    archive_url: SecretStr | None = Field(
        None,
        description="Where they go then: postgresql://user:password@host/database (extra `postgres`) is one archive for "
        "all hosts, sqlite:///path a file of each. Unset: a file under `home` of the worker's host.",
    )
    archive_keep_s: PositiveFloat = Field(
        31_536_000.0,
        description="Seconds after it was set aside at which consolidation's database maintenance deletes a dead letter from "
        "the archive (a file: on the host where it runs). At least max_age_s.",
    )
    watch_every_s: PositiveFloat = Field(
        10.0,
        description="Seconds between two looks of each worker for dead letters of others to tell of and to archive; "
        "at its own it looks at once.",
    )


class BreakerSettings(Part):
    """When the breaker of a dependency opens, and how it closes again; `[breakers.NAME]` changes them for one."""

    window_s: PositiveFloat = Field(
        30.0, description="Seconds that count: a sliding window in ten parts, on the broker's clock."
    )
    failure_rate: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of the calls in the window that must fail for it to open, once there are min_calls.",
    )
    min_calls: PositiveInt = Field(
        10, description="Calls in the window below which the rate says nothing. Lower opens sooner and by accident."
    )
    failure_count: int = Field(
        0, ge=0, description="Failures in the window that open it whatever their share; 0: only the rate counts."
    )
    open_s: PositiveFloat = Field(
        30.0, description="Seconds it stays open before probes may see whether the dependency answers again."
    )
    probes: PositiveInt = Field(
        3,
        description="Calls let through while half-open, over the whole fleet. It closes when all of them were answered, "
        "and opens again at the first that fails.",
    )
    probe_lease_s: PositiveFloat = Field(
        10.0,
        description="Seconds after which the probe of a process that died is given to another. Living ones keep theirs, "
        "however long it takes.",
    )


class LimitSettings(Part):
    """What tasks and functions may use; the limits themselves stand where they are declared."""

    when_away: Literal["local", "refuse"] = Field(
        "local",
        description="While the broker is away: each process grants local_fraction of every limit by itself, or nothing.",
    )
    local_fraction: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Part of every limit that a process grants by itself while the broker is away. With more processes "
        "than its inverse they can exceed the limit together.",
    )


class RoutingSettings(Part):
    """Lanes of single workers, and what callers know of their load."""

    lanes: bool = Field(
        True,
        description="Whether workers open a lane and report their load, so that calls with an affinity or a routing "
        "strategy can be sent to one of them. Without, such calls go to the shared queue.",
    )
    report_every_s: PositiveFloat = Field(
        1.0,
        description="Seconds between two reports of a worker, and two looks of a caller that routes; five times as long "
        "for a worker that has nothing to do and no other beside it.",
    )
    fresh_s: PositiveFloat = Field(
        3.0,
        description="Seconds a report counts; a worker that has not reported for so long is sent nothing, and without "
        "any fresh report a call goes to the shared queue. At least twice report_every_s.",
    )
    keep_per_slot: PositiveFloat = Field(
        0.6,
        description="Messages for each slot that a lane keeps to itself while four fifths of all slots are busy, and less "
        "the more are free, down to a fifth of it; idle workers steal from what is above. Lower balances better, higher "
        "keeps more calls where their key belongs.",
    )


class BeatSettings(Part):
    """Beat: who leads of several, and what becomes of due times that nobody sent. All beats must have the same."""

    hold_s: PositiveFloat = Field(
        3.0,
        description="Seconds after which another beat leads if the leader says nothing; each asks every third of it. "
        "Shorter takes over sooner, longer forgives a slow host.",
    )
    missed_after_s: PositiveFloat = Field(
        15.0,
        description="Seconds after which a due time that was not sent counts as missed, so that its entry's catch-up "
        "policy holds; until then it is late, and is sent. At least twice hold_s.",
    )
    catch_up: Literal["none", "one", "all"] = Field(
        "one",
        description="What is done about missed due times of an entry that does not say so itself: `none` is sent, `one` "
        "for all of them, or `all`.",
    )
    catch_up_most: PositiveInt = Field(
        100,
        description="Due times of one entry that are sent at once; the oldest above that are left out, and counted.",
    )


class RetrySettings(Part):
    """Failures of tasks with a retry strategy."""

    causes: dict[str, str] = Field(
        default_factory=dict,
        description="Causes of errors by qualified class name, such as shop.errors.StockGone = validation: network, "
        "timeout, rate_limit, resource, validation, dependency, authorisation, poison or bug. What hive knows more "
        "precisely it goes on calling so.",
    )


class ResultSettings(Part):
    """What tasks return."""

    backend: str | None = Field(
        None,
        description="Address of the result backend. Unset: the broker, where a result is stored in the same step "
        "that finishes its delivery.",
    )
    expires_s: PositiveFloat = Field(
        86_400.0, description="Seconds a result is kept; then asking for it waits for ever, as for an unknown task."
    )


class WorkerSettings(Part):
    """Every worker process."""

    prefetch: PositiveInt = Field(
        4,
        description="Messages a worker holds per slot at most, while its tasks are short; of longer ones it holds, besides "
        "those that run, what it can begin within a tenth of a second.",
    )
    max_tasks_per_child: int = Field(0, ge=0, description="Tasks after which a pool child is replaced; 0: never.")
    max_memory_per_child_mb: int = Field(
        0,
        ge=0,
        description="Megabytes of resident memory after which a pool child is replaced after its task; 0: never, unless "
        "its agent type declares what it needs.",
    )
    memory_bound_mb: int | None = Field(
        None,
        ge=0,
        description="Megabytes a pool child may use, all processes its task starts included: more private memory is "
        "refused to it (MemoryError), and with more resident memory it is killed. Unset: three quarters of what its host "
        "or container has; 0: no bound. Only prefork pools have it.",
    )
    memory_bound_of_needs: PositiveFloat = Field(
        2.0,
        description="What a pool child may use as a multiple of the memory that its task, or its agent type, declares to "
        "need, if that is below memory_bound_mb.",
    )
    processes_bound: int = Field(
        128,
        ge=0,
        description="Processes that a pool child may have started and that still run; with more it is killed with all of "
        "them. 0: no bound. Only prefork pools have it.",
    )
    grace_s: PositiveFloat = Field(
        30.0, description="Seconds running tasks may take to end at a warm shutdown before they are handed back."
    )
    cancel_wait_s: PositiveFloat = Field(
        10.0,
        description="Seconds a cancelled coroutine may take to end before its worker drains and replaces its process.",
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port on which a worker serves Prometheus figures; 0: none. A worker that finds it taken uses the "
        "next free one, so that several on one machine can share the setting.",
    )
    metrics_address: str = Field(
        "127.0.0.1", description="Address of that port; 0.0.0.0 shows the figures to everybody who reaches the host."
    )


class FleetSettings(Part):
    """What `hive up` starts."""

    slots: int = Field(
        1, ge=0, description="Slots of each pool of `hive up`; a type's own concurrency range bounds it."
    )
    beat: bool = Field(True, description="Whether `hive up` runs beat.")
    flower_port: int = Field(5555, ge=1, le=65535, description="Port of `hive flower`, on 127.0.0.1.")
    flower_auth: SecretStr | None = Field(
        None,
        description="Who may enter Flower, as user:password; FLOWER_BASIC_AUTH wins. Unset: user hive with a password "
        "that is made once and kept in the home's file flower.password.",
    )
    restart_max_s: PositiveFloat = Field(
        30.0, description="Longest seconds before a crashed pool is started again; the wait doubles from half a second."
    )
