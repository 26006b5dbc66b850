"""What a fleet may bear: which of the decisions of a round are carried out. Pure; any doubt defers.

Decisions are taken one after another, wakes first, then by benefit, each against the fleet as those before it leave
it. Nothing here puts an agent to sleep that has work, and no message waits for this scheduler: messages wake agents by
themselves, whatever is decided here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from hive.consolidation.decision import Action, Decision

SLEEP_BREAKER = "sleep"
CONSOLIDATION_BREAKER = "consolidation"

#: Of each breaker: failures that open it, within how many ms, and for how many ms after the last of them.
BREAKERS = {SLEEP_BREAKER: (5, 300_000, 600_000), CONSOLIDATION_BREAKER: (3, 600_000, 600_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyRules:
    """Bounds that no decision crosses.

    Attributes:
        asleep_share: at most this share of the agents is asleep.
        awake_count: at least so many stay awake.
        sleeps_share: at most this share of the agents is put to sleep within ``sleeps_window_s``.
        sleeps_window_s: in seconds.
        consolidations_count: at most so many consolidations begin within a minute.
        cooldown_s: seconds after a move of this scheduler before the opposite one.
        cpu_share: of the host, above which nothing is put to sleep or consolidated.
        memory_share: of the host, likewise.
        disk_share: of the disk that holds the checkpoints, likewise.
    """

    asleep_share: float = 0.3
    awake_count: int = 2
    sleeps_share: float = 0.2
    sleeps_window_s: float = 300.0
    consolidations_count: int = 10
    cooldown_s: float = 600.0
    cpu_share: float = 0.8
    memory_share: float = 0.85
    disk_share: float = 0.9


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
        moves: of this scheduler, of the last while, oldest first; at least those within the longest rule.
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


def open_breakers(failures_ms: Mapping[str, Iterable[int]], now_ms: int) -> frozenset[str]:
    """Return the breakers that are open, by the instants of what failed, each rising."""
    found = set()
    for name, (count, within_ms, open_ms) in BREAKERS.items():
        instants = list(failures_ms.get(name, ()))
        for first, last in zip(instants, instants[count - 1 :], strict=False):
            if last - first <= within_ms and now_ms - last < open_ms:
                found.add(name)
    return frozenset(found)


def judge(decisions: Iterable[Decision], fleet: Fleet, rules: SafetyRules) -> list[Verdict]:
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


def _forbidding(decision: Decision, fleet: Fleet, rules: SafetyRules, latest: Mapping[str, Move]) -> str:
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


def _pressed(pressure: Pressure, rules: SafetyRules) -> str:
    for name, share, bound in (
        ("CPU", pressure.cpu_share, rules.cpu_share),
        ("memory", pressure.memory_share, rules.memory_share),
        ("disk", pressure.disk_share, rules.disk_share),
    ):
        if share > bound:
            return f"{name} of the host is {share:.0%} used, above {bound:.0%}"
    return ""


def _no_sleep(fleet: Fleet, rules: SafetyRules) -> str:
    if SLEEP_BREAKER in fleet.open_breakers:
        return "sleeps have failed too often (breaker open)"
    if fleet.agents_count - fleet.asleep_count - 1 < rules.awake_count:
        return f"at least {rules.awake_count} agents stay awake"
    if fleet.asleep_count + 1 > rules.asleep_share * fleet.agents_count:
        return f"at most {rules.asleep_share:.0%} of {fleet.agents_count} agents sleep"
    recent = _recent(fleet, Action.SLEEP, rules.sleeps_window_s)
    if recent + 1 > rules.sleeps_share * fleet.agents_count:
        return f"at most {rules.sleeps_share:.0%} of the agents go to sleep in {rules.sleeps_window_s:g} s"
    return ""


def _no_consolidation(fleet: Fleet, rules: SafetyRules) -> str:
    if CONSOLIDATION_BREAKER in fleet.open_breakers:
        return "consolidations have failed too often (breaker open)"
    if _recent(fleet, Action.CONSOLIDATE, 60.0) >= rules.consolidations_count:
        return f"at most {rules.consolidations_count} consolidations begin in a minute"
    return ""


def _recent(fleet: Fleet, action: Action, within_s: float) -> int:
    since_ms = fleet.now_ms - within_s * 1000
    return sum(move.action is action and move.at_ms > since_ms for move in fleet.moves)


def _with(fleet: Fleet, decision: Decision) -> Fleet:
    change = {Action.SLEEP: 1, Action.WAKE: -1}.get(decision.action, 0)
    move = Move(agent=decision.agent, action=decision.action, at_ms=fleet.now_ms)
    return replace(fleet, asleep_count=fleet.asleep_count + change, moves=(*fleet.moves, move))
