"""Steps: what a review asks of whom, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from workers.findings import Outcome, Run, Unit


class State(StrEnum):
    """What became of a step."""

    DONE = "done"  #: its outcome is here
    FAILED = "failed"  #: its task raised an error, or its worker process died
    TIMED_OUT = "timed out"  #: it ran into its time limit
    LOST = "lost"  #: no word of it came back
    REVOKED = "revoked"  #: it was taken back before it started


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One task to be called with one unit.

    Attributes:
        agent: agent type whose pool runs it.
        task: the Celery task.
        unit: what it works on.
        arguments: further keyword arguments.
    """

    agent: str
    task: Any
    unit: Unit
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A step that has ended.

    Attributes:
        step: which.
        state: how.
        reason: why it is not done, as a clause; empty if it is.
        outcome: what was found; none unless done.
        run: when and where it ran, as far as known.
    """

    step: Step
    state: State
    reason: str = ""
    outcome: Outcome | None = None
    run: Run | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How all steps went.

    Attributes:
        ended: every step, in the order of the plan.
        interrupted: whether somebody stopped it before its end.
    """

    ended: tuple[Ended, ...]
    interrupted: bool


class Watch(Protocol):
    """Who is told how a review goes on."""

    def planned(self, steps: Sequence[Step]) -> None:
        """The review begins."""

    def running(self, counts: dict[str, int]) -> None:
        """So many steps of each agent type run now."""

    def ended(self, ended: Ended) -> None:
        """A step has ended."""
