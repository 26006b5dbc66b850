"""Advice on what an agent type should ask for, from what its own tasks used: pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hive.agents.types import Resources

#: Tasks that must have been measured before anything is said.
ENOUGH_TASKS = 10

#: Room above what was used, and the step to which what is asked for is rounded.
HEADROOM = 1.25
MEMORY_STEP_MB = 64
CORE_STEP = 0.25


class Change(StrEnum):
    """What to do about what an agent type asks for."""

    UNKNOWN = "unknown"
    """Too few of its tasks were measured."""
    KEEP = "keep"
    LESS = "ask less"
    MORE = "ask more"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUse:
    """What one task used.

    Attributes:
        memory_mb: most that was seen, its own child processes included.
        cpu_s: processor seconds.
        wall_s: seconds it was watched.
    """

    memory_mb: float
    cpu_s: float
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Advice for one agent type.

    Attributes:
        change: in one word; more of one resource weighs more than less of the other.
        memory_mb: to ask for.
        cores: to ask for.
        tasks: measured.
        why: on what grounds, as a sentence.
    """

    change: Change
    memory_mb: int
    cores: float
    tasks: int
    why: str


def advise(asked: Resources, used: Sequence[TaskUse]) -> Advice:
    """Say whether an agent type should ask for less or more, from its own tasks and nothing else.

    Memory follows the greatest peak, because one task over it ends its process; cores follow the task that nineteen of
    twenty stay below. Less is advised only if it is a quarter less, so that advice does not swing.

    Args:
        asked: what its slots ask for.
        used: what its tasks used, in any order.
    """
    if len(used) < ENOUGH_TASKS:
        why = f"{len(used)} of its tasks were measured, {ENOUGH_TASKS} are needed"
        return Advice(change=Change.UNKNOWN, memory_mb=asked.memory_mb, cores=asked.cores, tasks=len(used), why=why)
    peak_mb = max(use.memory_mb for use in used)
    busy = sorted(use.cpu_s / use.wall_s if use.wall_s > 0 else 0.0 for use in used)
    busiest = busy[math.ceil(0.95 * len(busy)) - 1]
    memory_mb = _settled(asked.memory_mb, peak_mb, MEMORY_STEP_MB)
    cores = _settled(asked.cores, busiest, CORE_STEP)
    if memory_mb > asked.memory_mb or cores > asked.cores:
        change = Change.MORE
    elif memory_mb < asked.memory_mb or cores < asked.cores:
        change = Change.LESS
    else:
        change = Change.KEEP
    why = (
        f"its tasks took up to {peak_mb:,.0f} of {asked.memory_mb:,} MB, and 95 % of them at most "
        f"{busiest:.2f} of {asked.cores:g} cores"
    )
    return Advice(change=change, memory_mb=int(memory_mb), cores=cores, tasks=len(used), why=why)


def _settled(asked: float, used: float, step: float) -> float:
    """Return what to ask for: as now while a tenth of it is free and no quarter of it goes unused."""
    wanted = max(math.ceil(used * HEADROOM / step), 1) * step
    return wanted if used > 0.9 * asked or wanted <= 0.75 * asked else asked
