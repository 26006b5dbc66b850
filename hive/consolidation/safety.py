"""What a fleet may bear: which of the decisions of a round are carried out. Pure; any doubt defers.

Decisions are taken one after another, wakes first, then by benefit, each against the fleet as those before it leave
it. Nothing here puts an agent to sleep that has work, and no message waits for this scheduler: messages wake agents by
themselves, whatever is decided here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hive.consolidation.decision import Action, Decision
from hive.settings.scheduler import SchedulerSettings

#: Seconds within which at most ``sleeps_share`` of the agents are put to sleep.
SLEEPS_WINDOW_S = 300.0
#: Seconds within which at most ``consolidations_count`` consolidations begin.
CONSOLIDATIONS_WINDOW_S = 60.0

SLEEP_BREAKER = "sleep"
CONSOLIDATION_BREAKER = "consolidation"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRule:
    """When failures of one kind hold back more of it.

    It has no probes and no rate, unlike the breakers of :mod:`hive.resilience.breaker`: rounds are minutes apart and run in any
    process, so all that a round knows are the instants of failures in the notes of those before it.

    Attributes:
        failures_count: failures that open it ...
        within_ms: ... if no more than this lies between the first and the last of them.
        open_ms: how long it stays open after the last.
    """

    failures_count: int
    within_ms: int
    open_ms: int


BREAKERS = {
    SLEEP_BREAKER: BreakerRule(failures_count=5, within_ms=300_000, open_ms=600_000),
    CONSOLIDATION_BREAKER: BreakerRule(failures_count=3, within_ms=600_000, open_ms=600_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How full the host is, each 0..1."""

    cpu_share: float = 0.0
    memory_share: float = 0.0
    disk_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Something this scheduler did with an agent.

    Attributes:
        agent: its name.
        action: what.
        at_ms: when, milliseconds since 1970.
    """

    agent: str
    action: Action
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What is known of all agents when a round begins.

    Attributes:
        now_ms: milliseconds since 1970.
        agents_count: how many there are.
        asleep_count: how many of them are not awake, or about to sleep.
        moves: of this scheduler, oldest first; at least those of the last :func:`remembered_s`.
        pressure: on the host.
        is_stopped: somebody pressed the emergency stop.
        open_breakers: names of the breakers that are open.
    """

    now_ms: int
    agents_count: int
    asleep_count: int
    moves: tuple[Move, ...] = ()
    pressure: Pressure = field(default_factory=Pressure)
    is_stopped: bool = False
    open_breakers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a decision is carried out.

    Attributes:
        decision: the decision.
        is_permitted: whether.
        reason: the rule that forbids it; empty if it is permitted.
    """

    decision: Decision
    is_permitted: bool
    reason: str = ""


def breaker_of(action: Action) -> str:
    """Return the breaker that counts failures of an action."""
    return CONSOLIDATION_BREAKER if action is Action.CONSOLIDATE else SLEEP_BREAKER


def still_counting(failures_ms: Mapping[str, Iterable[int]], now_ms: int) -> dict[str, list[int]]:
    """Return those failures of each breaker that can keep it open, or open it together with others."""
    return {
        name: [at_ms for at_ms in failures_ms.get(name, ()) if now_ms - at_ms < rule.within_ms + rule.open_ms]
        for name, rule in BREAKERS.items()
    }


def open_breakers(failures_ms: Mapping[str, Sequence[int]], now_ms: int) -> frozenset[str]:
    """Return the breakers that are open, by the instants of what failed, each rising."""
    found = set()
    for name, rule in BREAKERS.items():
        instants = failures_ms.get(name, ())
        for first, last in zip(instants, instants[rule.failures_count - 1 :], strict=False):
            if last - first <= rule.within_ms and now_ms - last < rule.open_ms:
                found.add(name)
    return frozenset(found)


def remembered_s(settings: SchedulerSettings) -> float:
    """Return the seconds after which no rule looks at a move any more."""
    return max(SLEEPS_WINDOW_S, CONSOLIDATIONS_WINDOW_S, settings.cooldown_s)


def judge(decisions: Iterable[Decision], fleet: Fleet, rules: SchedulerSettings) -> list[Verdict]:
    """Return a verdict on every decision that would do something: wakes first, then by benefit, then by name."""
    order = {Action.WAKE: 0, Action.SLEEP: 1, Action.CONSOLIDATE: 2}
    acting = [decision for decision in decisions if decision.action in order]
    acting.sort(key=lambda decision: (order[decision.action], -decision.benefit, decision.agent))
    latest = {move.agent: move for move in fleet.moves}
    verdicts = []
    for decision in acting:
        reason = _forbidding(decision, fleet, rules, latest)
        if not reason:
            fleet = _with(fleet, decision)
        verdicts.append(Verdict(decision=decision, is_permitted=not reason, reason=reason))
    return verdicts


def _forbidding(decision: Decision, fleet: Fleet, rules: SchedulerSettings, latest: Mapping[str, Move]) -> str:
    if fleet.is_stopped:
        return "emergency stop"
    before = latest.get(decision.agent)
    reversal = {Action.SLEEP: Action.WAKE, Action.WAKE: Action.SLEEP}.get(decision.action)
    if before and before.action is reversal and fleet.now_ms - before.at_ms < rules.cooldown_s * 1000:
        return f"it was told to {before.action.value} less than {rules.cooldown_s:g} s ago"
    if decision.action is Action.WAKE:
        return ""
    if pressed := _pressed(fleet.pressure, rules):
        return pressed
    return _no_sleep(fleet, rules) if decision.action is Action.SLEEP else _no_consolidation(fleet, rules)


def _pressed(pressure: Pressure, rules: SchedulerSettings) -> str:
    for name, share, bound in (
        ("CPU", pressure.cpu_share, rules.cpu_share),
        ("memory", pressure.memory_share, rules.memory_share),
        ("disk", pressure.disk_share, rules.disk_share),
    ):
        if share > bound:
            return f"{name} of the host is {share:.0%} used, above {bound:.0%}"
    return ""


def _no_sleep(fleet: Fleet, rules: SchedulerSettings) -> str:
    if SLEEP_BREAKER in fleet.open_breakers:
        return "sleeps have failed too often (breaker open)"
    if fleet.agents_count - fleet.asleep_count - 1 < rules.awake_count:
        return f"at least {rules.awake_count} agents stay awake"
    if fleet.asleep_count + 1 > rules.asleep_share * fleet.agents_count:
        return f"at most {rules.asleep_share:.0%} of {fleet.agents_count} agents sleep"
    recent = _recent(fleet, Action.SLEEP, SLEEPS_WINDOW_S)
    if recent + 1 > rules.sleeps_share * fleet.agents_count:
        return f"at most {rules.sleeps_share:.0%} of the agents go to sleep in {SLEEPS_WINDOW_S:g} s"
    return ""


def _no_consolidation(fleet: Fleet, rules: SchedulerSettings) -> str:
    if CONSOLIDATION_BREAKER in fleet.open_breakers:
        return "consolidations have failed too often (breaker open)"
    if _recent(fleet, Action.CONSOLIDATE, CONSOLIDATIONS_WINDOW_S) >= rules.consolidations_count:
        return f"at most {rules.consolidations_count} consolidations begin in a minute"
    return ""


def _recent(fleet: Fleet, action: Action, within_s: float) -> int:
    since_ms = fleet.now_ms - within_s * 1000
    return sum(move.action is action and move.at_ms > since_ms for move in fleet.moves)


def _with(fleet: Fleet, decision: Decision) -> Fleet:
    change = {Action.SLEEP: 1, Action.WAKE: -1}.get(decision.action, 0)
    move = Move(agent=decision.agent, action=decision.action, at_ms=fleet.now_ms)
    return replace(fleet, asleep_count=fleet.asleep_count + change, moves=(*fleet.moves, move))
