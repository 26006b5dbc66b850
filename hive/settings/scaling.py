"""The settings of scalers."""

from pydantic import Field, NonNegativeInt, PositiveFloat

from hive.settings.parts import Part


class ScalingSettings(Part):
    """How pools follow demand: slots inside a worker, and whole workers of `hive up` and `hive autoscale`."""

    slots: bool = Field(
        True,
        description="Whether `hive worker TYPE` and `hive up` let the slots of a pool follow demand within the range of its "
        "type (`concurrency`) where no number of slots is asked for. Pools of threads and solo ones keep their size.",
    )
    target_wait_s: PositiveFloat = Field(
        2.0,
        description="The wait that is aimed at: what waits is to be cleared within it. Less costs slots. A type's own table "
        "may set it.",
    )
    every_s: PositiveFloat = Field(
        1.0, description="Seconds between two decisions about whole workers; a burst is seen that late at most."
    )
    hold_s: PositiveFloat = Field(
        5.0,
        description="Seconds after which another scaler takes over from one that died. It decides under a new term, and what "
        "the old one decides is refused.",
    )
    start_s: PositiveFloat = Field(
        5.0, description="Seconds from the order of a worker until it serves; demand is forecast that far ahead."
    )
    memory_mb: NonNegativeInt = Field(
        0,
        description="Megabytes that all workers together may need, each as many as its slots were declared to need, or "
        "slot_memory_mb. 0: three quarters of what this host or container has; for other hosts say how much.",
    )
    cores: float = Field(
        0.0,
        ge=0,
        description="Processor cores that all workers together may need; only what types declare (needs.cores) counts. "
        "0: what this host or container has.",
    )
    slot_memory_mb: NonNegativeInt = Field(
        64, description="Megabytes that count for a slot of a type of which nobody declared what it needs."
    )
    command: str = Field(
        "",
        description="What `hive autoscale` runs to have another number of workers, such as `docker compose scale "
        "{agent_type}={workers}`; no shell reads it. Empty: nothing is run, for platforms that ask for the figures.",
    )
    port: int = Field(8642, ge=1, le=65535, description="Port on which `hive autoscale` serves its figures.")
    address: str = Field(
        "127.0.0.1", description="Address of that port; 0.0.0.0 shows the figures to everybody who reaches the host."
    )
