"""Whether an agent is to sleep, wake, be consolidated or be left alone: a pure decision, with its reasons.

The benefit of sleep is a sum of four parts, each within 0..1 and weighted: how likely nobody needs the agent in the
coming half hour, how far its load has fallen below what is usual, that nothing waits for it, and how much it has
to be compacted. Any doubt defers: what is not known is never acted on.
"""

from dataclasses import dataclass
from enum import StrEnum

from hive.agents.lifecycle import AgentState
from hive.learning.idleness import IdleChance
from hive.settings.scheduler import SchedulerSettings

#: Tokens not yet consolidated that count as all there can be, for the benefit.
FULL_TOKENS = 50_000


class Action(StrEnum):
    """What is to be done with an agent."""

    SLEEP = "sleep"
    """Checkpoint it and let it go."""
    WAKE = "wake"
    """Have it ready before it is needed."""
    CONSOLIDATE = "consolidate"
    """Compact what it remembers while it sleeps."""
    KEEP = "keep"
    """Leave it as it is."""
    DEFER = "defer"
    """Not enough is known; look again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """What is known of an agent when somebody decides.

    Attributes:
        agent: its name.
        state: it is in.
        idle: the chance that the coming half hour is idle.
        quiet_s: seconds since its last message.
        load: arrivals of the last half hour over those of a usual one.
        running_count: messages of it that run.
        waiting_count: messages that wait for it.
        loose_tokens: tokens of its memory that no run has consolidated yet.
        is_ours: whether this scheduler put it to sleep; what an operator or a window put to sleep it does not wake.
    """

    agent: str
    state: AgentState
    idle: IdleChance
    quiet_s: float = 0.0
    load: float = 0.0
    running_count: int = 0
    waiting_count: int = 0
    loose_tokens: int = 0
    is_ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done with an agent, and why.

    Attributes:
        agent: its name.
        action: what.
        benefit: of its sleep, 0..1.
        confidence: how sure the forecast is of what the action rests on, 0..1.
        reasons: a few words each, for people.
    """

    agent: str
    action: Action
    benefit: float
    confidence: float
    reasons: tuple[str, ...]


#: Parts of the benefit: idleness, load, backlog, memory.
WEIGHTS = (0.4, 0.2, 0.2, 0.2)


def decide(view: AgentView, settings: SchedulerSettings) -> Decision:
    """Decide on one agent by what is known of it; nothing of the fleet is considered here (``safety.py`` does that)."""
    parts = benefit_parts(view)
    benefit = sum(weight * part for weight, part in zip(WEIGHTS, parts, strict=True))
    action, reason = _choice(view, settings, benefit)
    reasons = (reason, *(_told(view) if view.idle.known else ()))
    confidence = abs(2 * view.idle.chance - 1) if view.idle.known else 0.0
    return Decision(agent=view.agent, action=action, benefit=benefit, confidence=confidence, reasons=reasons)


def benefit_parts(view: AgentView) -> tuple[float, float, float, float]:
    """Return what idleness, load, backlog and memory say for a sleep, each 0..1."""
    return (
        view.idle.chance,
        max(0.0, 1.0 - view.load),
        0.0 if view.waiting_count or view.running_count else 1.0,
        min(1.0, view.loose_tokens / FULL_TOKENS),
    )


def _choice(view: AgentView, settings: SchedulerSettings, benefit: float) -> tuple[Action, str]:
    if view.state is AgentState.AWAKE:
        return _of_awake(view, settings, benefit)
    if view.state is AgentState.SLEEPING:
        return _of_sleeping(view, settings)
    return Action.KEEP, f"it is {view.state.value}"


def _of_awake(view: AgentView, settings: SchedulerSettings, benefit: float) -> tuple[Action, str]:
    if view.running_count or view.waiting_count:
        return Action.KEEP, f"{view.running_count} messages run and {view.waiting_count} wait"
    if view.quiet_s < settings.quiet_s:
        return Action.KEEP, f"its last message was {view.quiet_s:.0f} s ago"
    if not view.idle.known:
        return Action.DEFER, "it is not known for long enough"
    if view.idle.chance < settings.idle_chance:
        return Action.KEEP, "it will be needed"
    if benefit < settings.benefit:
        return Action.KEEP, f"a sleep gains too little ({benefit:.2f} of {settings.benefit:.2f})"
    return Action.SLEEP, f"nobody is likely to need it (benefit {benefit:.2f})"


def _of_sleeping(view: AgentView, settings: SchedulerSettings) -> tuple[Action, str]:
    if not view.idle.known:
        return Action.DEFER, "it is not known for long enough"
    if view.is_ours and view.idle.chance <= settings.wake_chance:
        return Action.WAKE, "it will be needed soon"
    if view.loose_tokens >= settings.worth_tokens and view.idle.chance >= settings.idle_chance:
        return Action.CONSOLIDATE, f"{view.loose_tokens:,} tokens are not consolidated"
    return Action.KEEP, "it sleeps well"


def _told(view: AgentView) -> tuple[str, ...]:
    return (
        f"chance of an idle half hour {view.idle.chance:.0%}",
        f"load {view.load:.0%} of the usual",
        f"{view.loose_tokens:,} tokens to consolidate",
    )
