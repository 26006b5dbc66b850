"""What an agent type is."""

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from hive.settings.parts import QueueBound


class Value(BaseModel):
    """A frozen value that is strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Capability(Value):
    """One thing an agent type can do, and how well."""

    kind: str = Field(description="Kind of task, such as `review`.")
    proficiency: float = Field(ge=0, le=1, description="0: not at all, 1: as well as can be.")


class Resources(Value):
    """What one slot of a pool needs while it works."""

    cores: PositiveFloat = Field(1.0, description="Processor cores.")
    memory_mb: PositiveInt = Field(512, description="Resident memory in megabytes.")
    disk_mb: NonNegativeInt = Field(1024, description="Scratch space in megabytes.")
    network_mbps: NonNegativeInt = Field(10, description="Network in megabits a second.")


class Concurrency(Value):
    """Bounds of a size: of a pool in slots, or of a type in workers."""

    minimum: NonNegativeInt = 1
    maximum: PositiveInt = 4

    @model_validator(mode="after")
    def _ordered(self) -> "Concurrency":
        if self.minimum > self.maximum:
            raise ValueError(f"minimum ({self.minimum}) is above maximum ({self.maximum})")
        return self


class AgentType(Value):
    """A kind of worker pool.

    A task asks for one with ``@app.task(agent_type="code_reviewer")`` and is routed to its queue.
    """

    name: str = Field(description="Lower case letters, digits and underscores; also the pool's name.")
    title: str = Field("", description="What people read; the name in words if empty.")
    capabilities: tuple[Capability, ...] = Field((), description="Kinds of task with proficiency.")
    domains: tuple[str, ...] = Field((), description="Fields of knowledge the type is at home in.")
    needs: Resources = Field(default_factory=Resources, description="What one slot needs.")
    concurrency: Concurrency = Field(default_factory=Concurrency, description="Bounds of the pool's size.")
    workers: Concurrency = Field(
        default_factory=lambda: Concurrency(minimum=1, maximum=1),
        description="Bounds of how many worker processes `hive up` and `hive autoscale` have of it, each with as many slots as "
        "`concurrency` allows; with a minimum of 0, none while there is nothing to do.",
    )
    target_wait_s: PositiveFloat | None = Field(
        None, description="The wait that scaling aims at for its tasks; none: scaling.target_wait_s."
    )
    lean: bool = Field(
        False,
        description="Whether workers are started only for tasks that are there, and drained as soon as these have ended: "
        "the least cost, for tasks that may wait until a worker has started.",
    )
    soft_time_limit_s: PositiveFloat = Field(270.0, description="Seconds after which a task is told to end.")
    time_limit_s: PositiveFloat = Field(300.0, description="Seconds after which a task is ended.")
    bound: QueueBound | None = Field(None, description="How many tasks may wait for the pool; none: any number.")
    retry: str | dict[str, Any] | None = Field(
        None,
        description="Retry strategy of its tasks that declare none: a name such as `adaptive`, or a table with `strategy` "
        "and the strategy's fields. None: only what a task asks for itself, as in Celery.",
    )
    routing: (
        Literal[
            "shared", "round_robin", "least_loaded", "resource_aware", "capability", "performance", "hybrid", "affinity"
        ]
        | None
    ) = Field(
        None,
        description="How a worker is chosen for those of its tasks that do not say so themselves. None: calls with an "
        "affinity go to the worker of their key, all others to the shared queue.",
    )
    pool: Literal["prefork", "threads", "asyncio", "gevent", "solo"] = Field(
        "prefork", description="How its tasks run: asyncio for work that waits, prefork for work that computes."
    )

    @model_validator(mode="after")
    def _consistent(self) -> "AgentType":
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", self.name):
            raise ValueError(f"agent type name {self.name!r} must be lower case letters, digits and underscores")
        if self.soft_time_limit_s >= self.time_limit_s:
            raise ValueError(
                f"agent type {self.name!r}: soft_time_limit_s ({self.soft_time_limit_s:g}) must be below "
                f"time_limit_s ({self.time_limit_s:g})"
            )
        return self

    @property
    def queue(self) -> str:
        """Name of the queue its pool consumes."""
        return f"agent.{self.name}"

    @property
    def label(self) -> str:
        """What people read."""
        return self.title or self.name.replace("_", " ")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of task it takes."""
        return tuple(capability.kind for capability in self.capabilities)

    def proficiency(self, kind: str) -> float:
        """How well it does tasks of ``kind``: 0 for kinds it does not list."""
        return max((c.proficiency for c in self.capabilities if c.kind == kind), default=0.0)
