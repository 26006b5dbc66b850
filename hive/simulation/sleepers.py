"""A dry run of the consolidation scheduler: agents with recorded arrivals, and its own decisions and safety rules.

Every five minutes what arrived is learned, every agent is decided on, the decisions are judged, and what is permitted
is done at once. A message to a sleeping agent wakes it by itself: a missed wake. Not modelled: how long messages run,
failures of sleeps, pressure on the host, the time a sleep or a wake takes (well under a round).
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from hive.agents.lifecycle import AgentState
from hive.consolidation.decision import Action, AgentView, Decision, decide
from hive.consolidation.safety import SLEEPS_WINDOW_S, Fleet, Move, judge, remembered_s
from hive.learning.idleness import INTERVAL_S, WINDOW, IdlenessForecaster
from hive.settings.scheduler import SchedulerSettings

INTERVAL_MS = int(INTERVAL_S * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What arrives for one agent.

    Attributes:
        agent: its name.
        counts: messages in each interval of five minutes, oldest first.
    """

    agent: str
    counts: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under what the agents are put to sleep.

    Attributes:
        settings: of the scheduler.
        message_tokens: tokens that a message adds to its agent's memory.
        kept_share: of its tokens that a consolidation leaves.
    """

    settings: SchedulerSettings = field(default_factory=SchedulerSettings)
    message_tokens: int = 500
    kept_share: float = 0.5


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of it.

    Attributes:
        rounds_count: rounds of five minutes.
        agents_count: agents.
        actions: how often each permitted action was taken.
        held_back: decisions that a rule forbade, by its reason.
        asleep_h: agent-hours asleep.
        quiet_h: agent-hours in which no message came.
        missed_wakes_count: messages' intervals that found their agent asleep.
        saved_tokens: tokens that consolidations took off.
        most_asleep_share: of the agents, in the worst round.
        violations: rules crossed, told one by one; none are expected.
        asleep_by_round: agents asleep after each round.
    """

    rounds_count: int = 0
    agents_count: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    held_back: Counter[str] = field(default_factory=Counter)
    asleep_h: float = 0.0
    quiet_h: float = 0.0
    missed_wakes_count: int = 0
    saved_tokens: int = 0
    most_asleep_share: float = 0.0
    violations: list[str] = field(default_factory=list)
    asleep_by_round: list[int] = field(default_factory=list)


class _Agent:
    def __init__(self, load: Load) -> None:
        self.name, self.counts = load.agent, load.counts
        self.forecaster = IdlenessForecaster()
        self.latest: deque[float] = deque(maxlen=WINDOW)
        self.is_asleep = False
        self.quiet_s = 0.0
        self.loose_tokens = 0

    def learn(self, count: float, message_tokens: int) -> None:
        self.forecaster.update(count)
        self.latest.append(count)
        self.quiet_s = 0.0 if count else self.quiet_s + INTERVAL_S
        self.loose_tokens += round(count * message_tokens)

    def view(self) -> AgentView:
        state = AgentState.SLEEPING if self.is_asleep else AgentState.AWAKE
        load = sum(self.latest) / (self.forecaster.usual or 1.0)
        return AgentView(
            agent=self.name,
            state=state,
            idle=self.forecaster.chance(),
            quiet_s=self.quiet_s,
            load=load,
            loose_tokens=self.loose_tokens,
            is_ours=self.is_asleep,
        )


def simulate_sleep(loads: Iterable[Load], terms: Terms, on_round: Callable[[int], None] = lambda _: None) -> Outcome:
    """Run the scheduler over recorded arrivals.

    Args:
        loads: one for each agent, all of the same length.
        terms: under which they are put to sleep.
        on_round: told the number of each round that has ended.

    Raises:
        ValueError: there is no agent, or their recordings differ in length.
    """
    agents = {load.agent: _Agent(load) for load in loads}
    lengths = {len(agent.counts) for agent in agents.values()}
    if len(lengths) != 1:
        raise ValueError(f"agents' recordings have one length, not {sorted(lengths)}")
    (length,) = lengths
    outcome = Outcome(rounds_count=length, agents_count=len(agents))
    watch = _Watch(len(agents), terms.settings)
    moves: deque[Move] = deque()
    kept_ms = remembered_s(terms.settings) * 1000
    for number in range(length):
        now_ms = (number + 1) * INTERVAL_MS
        _arrive(agents.values(), number, terms, outcome)
        while moves and moves[0].at_ms <= now_ms - kept_ms:
            moves.popleft()
        made = _round(
            agents,
            Fleet(
                now_ms=now_ms,
                agents_count=len(agents),
                asleep_count=sum(agent.is_asleep for agent in agents.values()),
                moves=tuple(moves),
            ),
            terms,
            outcome,
        )
        moves.extend(made)
        asleep = sum(agent.is_asleep for agent in agents.values())
        outcome.asleep_by_round.append(asleep)
        outcome.asleep_h += asleep * INTERVAL_S / 3600
        outcome.violations += watch.seen(now_ms, made, asleep)
        on_round(number)
    outcome.most_asleep_share = max(outcome.asleep_by_round, default=0) / len(agents)
    return outcome


def _arrive(agents: Iterable[_Agent], number: int, terms: Terms, outcome: Outcome) -> None:
    for agent in agents:
        count = agent.counts[number]
        if count:
            outcome.missed_wakes_count += agent.is_asleep
            agent.is_asleep = False
        else:
            outcome.quiet_h += INTERVAL_S / 3600
        agent.learn(count, terms.message_tokens)


def _round(agents: dict[str, _Agent], fleet: Fleet, terms: Terms, outcome: Outcome) -> list[Move]:
    decisions: list[Decision] = [decide(agent.view(), terms.settings) for agent in agents.values()]
    made = []
    for verdict in judge(decisions, fleet, terms.settings):
        if not verdict.is_permitted:
            outcome.held_back[verdict.reason] += 1
            continue
        action, agent = verdict.decision.action, agents[verdict.decision.agent]
        if action is Action.CONSOLIDATE:
            outcome.saved_tokens += round(agent.loose_tokens * (1 - terms.kept_share))
            agent.loose_tokens = 0
        else:
            agent.is_asleep = action is Action.SLEEP
        outcome.actions[action.value] += 1
        made.append(Move(agent=agent.name, action=action, at_ms=fleet.now_ms))
    return made


class _Watch:
    """Holds what was done against the rules, read anew: it shares nothing with the code that judges."""

    def __init__(self, agents_count: int, rules: SchedulerSettings) -> None:
        self._agents_count, self._rules = agents_count, rules
        self._sleeps_ms: deque[int] = deque()
        self._last: dict[str, Move] = {}

    def seen(self, now_ms: int, made: Sequence[Move], asleep: int) -> list[str]:
        rules, found = self._rules, []
        slept = sum(move.action is Action.SLEEP for move in made)
        self._sleeps_ms.extend([now_ms] * slept)
        while self._sleeps_ms and self._sleeps_ms[0] <= now_ms - SLEEPS_WINDOW_S * 1000:
            self._sleeps_ms.popleft()
        if slept and len(self._sleeps_ms) > rules.sleeps_share * self._agents_count:
            found.append(f"{len(self._sleeps_ms)} sleeps within {SLEEPS_WINDOW_S:g} s at {now_ms} ms")
        if slept and asleep > rules.asleep_share * self._agents_count:
            found.append(f"{asleep} of {self._agents_count} asleep at {now_ms} ms")
        if slept and self._agents_count - asleep < rules.awake_count:
            found.append(f"only {self._agents_count - asleep} awake at {now_ms} ms")
        if sum(move.action is Action.CONSOLIDATE for move in made) > rules.consolidations_count:
            found.append(f"more than {rules.consolidations_count} consolidations at {now_ms} ms")
        for move in made:
            before = self._last.get(move.agent)
            is_reversal = before and {before.action, move.action} == {Action.SLEEP, Action.WAKE}
            if before and is_reversal and now_ms - before.at_ms < rules.cooldown_s * 1000:
                found.append(f"{move.agent} reversed after {(now_ms - before.at_ms) / 1000:g} s at {now_ms} ms")
            self._last[move.agent] = move
        return found


def week_of_agents(days: Sequence[Sequence[float]], agents_count: int, hours: int, seed: int) -> list[Load]:
    """Return the loads of agents for some hours, drawn from recorded days of five-minute counts.

    Each agent has one recorded source, begins at its own hour of it, and goes through it again day after day, each
    interval drawn anew around what was recorded (binomially thinned and doubled by fair coins up to 100 messages, which
    keeps the mean and the silences).

    Args:
        days: recorded counts, a source each.
        agents_count: how many agents.
        hours: how many hours.
        seed: the same seed draws the same.
    """
    random_ = random.Random(f"agents {seed}")  # noqa: S311 - a seeded draw can be repeated
    loads = []
    for place in range(agents_count):
        source = days[place % len(days)]
        shift = 12 * random_.randrange(24)
        walk = (source[(shift + step) % len(source)] for step in range(hours * 12))
        counts = [_drawn(count, random_) for count in islice(walk, hours * 12)]
        loads.append(Load(agent=f"agent-{place:04}", counts=counts))
    return loads


def _drawn(count: float, random_: random.Random) -> float:
    if count > 100:
        return max(0.0, random_.gauss(count, count**0.5))
    return float(2 * sum(random_.random() < 0.5 for _ in range(round(count))))
