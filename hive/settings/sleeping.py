"""The settings of agents that sleep."""

from typing import Any

from pydantic import Field, PositiveFloat

from hive.settings.parts import Part


class SleepSettings(Part):
    """When agents sleep that have no policy of their own, and how long the ways there and back may take."""

    idle_s: PositiveFloat | None = Field(
        None, description="Seconds without a message after which an agent sleeps. Unset: it does not for that."
    )
    windows: tuple[dict[str, Any], ...] = Field(
        (),
        description="Times of day at which agents sleep: tables with the fields of hive.SleepWindow, such as "
        '{ start = "22:00", end = "06:00", zone = "Europe/Berlin" }.',
    )
    wakes_on_message: bool = Field(
        True, description="Whether a message wakes its agent; else it waits on the broker until something else does."
    )
    drain_s: PositiveFloat = Field(
        60.0, description="Seconds the running tasks of an agent may take to end before it sleeps; else it stays awake."
    )
    wake_s: PositiveFloat = Field(
        30.0,
        description="Seconds after which a wake counts as died with its process; the third in a row is an error. It must be "
        "longer than reading a checkpoint takes.",
    )
    consolidate_s: PositiveFloat = Field(
        900.0, description="Seconds after which a consolidation counts as died with its process."
    )
