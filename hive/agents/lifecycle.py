"""The life of an agent as one state machine: which states there are, what may happen in each, and where it leads.

The table below is all of it. The drawing in the design note of :mod:`hive.agents`, and what ``hive agents --diagram``
prints, are made from it by :func:`diagram`.
"""

from enum import StrEnum
from typing import Final

from hive.errors import HiveError


class AgentState(StrEnum):
    """Where an agent is in its life."""

    AWAKE = "awake"
    """Its messages run."""
    PREPARING_SLEEP = "preparing_sleep"
    """No message of it begins any more; what runs ends, or parks at its next step; then it is checkpointed."""
    SLEEPING = "sleeping"
    """It holds nothing but its checkpoint and its place on the broker."""
    CONSOLIDATING = "consolidating"
    """It sleeps, and what it remembers is being compacted."""
    PREPARING_WAKE = "preparing_wake"
    """Its checkpoint is being read; its messages wait until that is there."""
    ERROR = "error"
    """It could not be woken where it was; its messages wait for somebody to look."""


class AgentEvent(StrEnum):
    """What may happen to an agent."""

    SLEEP = "sleep"
    """Somebody, its window or its idleness asks it to sleep."""
    CHECKPOINTED = "checkpointed"
    """Nothing of it runs, and its checkpoint is committed."""
    CONSOLIDATE = "consolidate"
    """Its memory is about to be compacted."""
    CONSOLIDATED = "consolidated"
    """That is done."""
    WAKE = "wake"
    """A message, somebody, or the end of its window asks it to wake."""
    RESTORED = "restored"
    """Its checkpoint was read and is whole."""
    FAILED = "failed"
    """What it was going through did not succeed; the failure is recorded."""
    TIMED_OUT = "timed_out"
    """Whoever was going through it with the agent said nothing for as long as it may take: that process died."""
    RESET = "reset"
    """Somebody lets it go on without what could not be restored."""


TRANSITIONS: Final[dict[tuple[AgentState, AgentEvent], AgentState]] = {
    (AgentState.AWAKE, AgentEvent.SLEEP): AgentState.PREPARING_SLEEP,
    (AgentState.PREPARING_SLEEP, AgentEvent.CHECKPOINTED): AgentState.SLEEPING,
    (AgentState.PREPARING_SLEEP, AgentEvent.WAKE): AgentState.AWAKE,
    (AgentState.PREPARING_SLEEP, AgentEvent.FAILED): AgentState.AWAKE,
    (AgentState.PREPARING_SLEEP, AgentEvent.TIMED_OUT): AgentState.AWAKE,
    (AgentState.SLEEPING, AgentEvent.CONSOLIDATE): AgentState.CONSOLIDATING,
    (AgentState.SLEEPING, AgentEvent.WAKE): AgentState.PREPARING_WAKE,
    (AgentState.CONSOLIDATING, AgentEvent.CONSOLIDATED): AgentState.SLEEPING,
    (AgentState.CONSOLIDATING, AgentEvent.FAILED): AgentState.SLEEPING,
    (AgentState.CONSOLIDATING, AgentEvent.TIMED_OUT): AgentState.SLEEPING,
    (AgentState.CONSOLIDATING, AgentEvent.WAKE): AgentState.PREPARING_WAKE,
    (AgentState.PREPARING_WAKE, AgentEvent.RESTORED): AgentState.AWAKE,
    (AgentState.PREPARING_WAKE, AgentEvent.FAILED): AgentState.ERROR,
    (AgentState.PREPARING_WAKE, AgentEvent.TIMED_OUT): AgentState.SLEEPING,
    (AgentState.ERROR, AgentEvent.WAKE): AgentState.PREPARING_WAKE,
    (AgentState.ERROR, AgentEvent.RESET): AgentState.AWAKE,
}

#: States that a process goes through with the agent, and that end by themselves if it dies.
PASSING: Final = frozenset({AgentState.PREPARING_SLEEP, AgentState.CONSOLIDATING, AgentState.PREPARING_WAKE})

#: Wakes in a row that may time out; the last of them is an error, so that an agent that kills who wakes it is seen.
WAKE_ATTEMPTS: Final = 3


class AgentStateError(HiveError):
    """An agent is in no state in which that may happen.

    Attributes:
        agent: its name.
        state: the state it is in.
        event: what was to happen.
    """

    exit_code = 2

    def __init__(self, agent: str, state: AgentState, event: AgentEvent) -> None:
        self.agent, self.state, self.event = agent, state, event
        super().__init__(agent, state, event)

    def __str__(self) -> str:
        possible = ", ".join(sorted(event.value for before, event in TRANSITIONS if before is self.state))
        return f"agent {self.agent!r} is {self.state.value}: no {self.event.value!r} there; possible are {possible}"


def after(state: AgentState, event: AgentEvent) -> AgentState | None:
    """Return the state that an event leads to; None: it may not happen there."""
    return TRANSITIONS.get((state, event))


def overdue(state: AgentState, strikes: int) -> AgentEvent:
    """Return what happens to an agent whose time in a passing state is over.

    Args:
        state: that state.
        strikes: wakes of it in a row that timed out before.
    """
    is_last = state is AgentState.PREPARING_WAKE and strikes + 1 >= WAKE_ATTEMPTS
    return AgentEvent.FAILED if is_last else AgentEvent.TIMED_OUT


def diagram() -> str:
    """Return the state machine as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {AgentState.AWAKE.name}"]
    lines += [f"    {before.name} --> {then.name}: {event.value}" for (before, event), then in TRANSITIONS.items()]
    return "\n".join(lines)
