"""The settings of the scheduler that puts idle agents to sleep and consolidates them."""

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from hive.settings.parts import Part


class SchedulerSettings(Part):
    """Whom the scheduler puts to sleep, and bounds that none of its decisions crosses. Its mode and flag: `hive schedule rest`."""

    idle_chance: float = Field(
        0.5, gt=0, le=1, description="Least chance of an idle half hour at which an agent is put to sleep."
    )
    wake_chance: float = Field(
        0.3, ge=0, lt=1, description="Greatest chance of an idle half hour at which a sleeping agent is woken ahead."
    )
    quiet_s: PositiveFloat = Field(300.0, description="Seconds since its last message before an agent is put to sleep.")
    benefit: float = Field(0.4, ge=0, le=1, description="Least benefit (0 to 1) of a sleep.")
    worth_tokens: PositiveInt = Field(5_000, description="Tokens not yet consolidated that are worth a run.")
    asleep_share: float = Field(0.3, gt=0, le=1, description="Share of the agents that sleep at most.")
    awake_count: NonNegativeInt = Field(2, description="Agents that stay awake at least.")
    sleeps_share: float = Field(
        0.2, gt=0, le=1, description="Share of the agents put to sleep in five minutes at most."
    )
    consolidations_count: PositiveInt = Field(10, description="Consolidations begun in a minute at most.")
    cooldown_s: PositiveFloat = Field(
        600.0, description="Seconds after a move of the scheduler before the opposite one."
    )
    cpu_share: float = Field(
        0.8, gt=0, le=1, description="Load of the host's cores above which nobody is put to sleep or consolidated."
    )
    memory_share: float = Field(0.85, gt=0, le=1, description="Used memory of the host above which nobody is.")
    disk_share: float = Field(0.9, gt=0, le=1, description="Used space of the home's disk above which nobody is.")
