"""A round of the scheduler: learn, decide, judge, act, write down."""

import logging
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hive.agents.lifecycle import AgentState, AgentStateError
from hive.clock import Clock, SystemClock
from hive.consolidation.decision import Action, AgentView, Decision, Leanings, decide
from hive.consolidation.safety import BREAKERS, Fleet, Move, Pressure, SafetyRules, Verdict, judge, open_breakers
from hive.consolidation.stages import Mode
from hive.database.checkpoints import DatabaseError
from hive.errors import HiveError
from hive.learning.idleness import INTERVAL_S, IdleChance
from hive.resources.host import read_host
from hive.runtime.rest.notes import PAST, Counts, Notes
from hive.runtime.rest.past import Past
from hive.runtime.rest.switches import FLAG, Position, Switches
from hive.settings.scheduler import SchedulerSettings
from hive.store.faults import BrokerGoneError
from hive.store.leadership import Leadership, Term
from hive.store.lifecycles import AgentRecord
from hive.store.store import Store

logger = logging.getLogger(__name__)

#: Begins the reason with which this scheduler puts an agent to sleep.
OURS = "scheduler: "
#: Seconds a round may take before another may begin.
HOLD_S = 120.0
#: Notes that are written in one step.
PAGE = 500
NOT_REACHED = "the flag does not reach it"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """What a round did.

    Attributes:
        is_leading: whether it was this process's to do; else nothing was done.
        mode: how far it went.
        stage: percent of the agents that its flag reaches.
        agents_count: agents that were decided on.
        verdicts: decisions that would do something, with what forbids them.
        done: what was done to which agent.
        seconds: that it took.
    """

    is_leading: bool
    mode: Mode = Mode.SHADOW
    stage: int = 0
    agents_count: int = 0
    verdicts: tuple[Verdict, ...] = ()
    done: Mapping[str, str] | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """A round that goes on: under which term, and where the switches stood at its begin."""

    leadership: Leadership
    term: Term
    position: Position

    def holds(self) -> bool:
        """Extend the lead, and say whether it is this round's still: no two rounds may act at once."""
        term = self.leadership.campaign()
        return term is not None and term.number == self.term.number


class RestScheduler:
    """Puts idle agents of an application to sleep and has them consolidated, as far as its switches let it.

    Args:
        app: the application.
        consolidate: asked to begin the consolidation of an agent, dry or not; without it none is begun.
        loose_tokens: tells how many tokens of an agent's memory no run has consolidated; without it none.
        pressure: tells how full the host is; by default this host is looked at.
        clock: of this process, for how long a round takes.
    """

    def __init__(
        self,
        app: Any,
        *,
        consolidate: Callable[[str, bool], object] | None = None,
        loose_tokens: Callable[[str], int] | None = None,
        pressure: Callable[[], Pressure] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._app = app
        self._consolidate = consolidate
        self._loose_tokens = loose_tokens
        self._pressure = pressure or (lambda: host_pressure(app))
        self._clock = clock or SystemClock()
        self._leanings = leanings_of(app.settings.scheduler)
        self._safety = safety_of(app.settings.scheduler)

    @property
    def switches(self) -> Switches:
        """Its mode, its flag and its emergency stop."""
        return Switches(self._store)

    @property
    def _store(self) -> Store:
        store: Store = self._app.access.store
        return store

    def round(self) -> RoundReport:
        """Do a round. Two at once are one: the second finds the first leading.

        Raises:
            BrokerGoneError: no reply; what was done stands, the next round goes on.
        """
        leadership = Leadership(self._store, FLAG, holder=uuid.uuid4().hex, hold_s=HOLD_S)
        term = leadership.campaign()
        if term is None:
            return RoundReport(is_leading=False)
        began_s = self._clock.monotonic_s()
        try:
            report = self._led(leadership, term)
        finally:
            leadership.resign()
        return replace(report, seconds=self._clock.monotonic_s() - began_s)

    def told(self) -> dict[str, Any]:
        """Return what is written down for people: the latest decisions, and how often they were right.

        Raises:
            BrokerGoneError: no reply.
        """
        notes = Notes.read(Leadership(self._store, FLAG, holder="reader", hold_s=HOLD_S).notes())
        return {"round_ms": notes.round_ms, "judged": notes.judged, "decisions": notes.log}

    def _led(self, leadership: Leadership, term: Term) -> RoundReport:
        notes, position = Notes.read(leadership.notes()), self.switches.position()
        turn = _Turn(leadership=leadership, term=term, position=position)
        records = self._store.agents()
        now_ms = term.now_ms
        pasts = self._learnt(records, notes.pasts, int(now_ms / 1000 / INTERVAL_S))
        judged = _judged(notes.judged, pasts.values())
        loose = self._loose(records)
        views = [self._view(record, pasts[record.name], now_ms, loose.get(record.name, 0)) for record in records]
        decisions = [decide(view, self._leanings) for view in views]
        failures_ms = _failures(notes, records, now_ms)
        fleet = Fleet(
            now_ms=now_ms,
            agents_count=len(records),
            asleep_count=sum(record.state is not AgentState.AWAKE for record in records),
            moves=_recent(notes.moves, now_ms, self._safety),
            pressure=self._pressure(),
            is_stopped=position.is_stopped,
            open_breakers=open_breakers(failures_ms, now_ms),
        )
        reached = (
            decisions if position.mode is not Mode.LIVE else [one for one in decisions if position.acts_on(one.agent)]
        )
        verdicts = judge(reached, fleet, self._safety)
        done, moves = self._act(verdicts, turn, failures_ms)
        done |= self._release(records, turn)
        foretold = {view.agent: _foretold(pasts[view.agent], view.idle) for view in views}
        after = Notes(
            pasts=foretold,
            moves=(*fleet.moves, *moves),
            failures_ms=failures_ms,
            judged=judged,
            log=[*notes.log, *(_line(verdict, now_ms, done) for verdict in verdicts)],
            round_ms=now_ms,
        )
        gone = {f"{PAST}{agent}": "" for agent in notes.pasts.keys() - pasts.keys()}
        self._write(leadership, term, gone | after.written())
        return RoundReport(
            is_leading=True,
            mode=position.mode,
            stage=position.rollout.stage,
            agents_count=len(records),
            verdicts=tuple(verdicts),
            done=done,
        )

    def _learnt(self, records: Sequence[AgentRecord], pasts: Mapping[str, Past], interval: int) -> dict[str, Past]:
        learnt = {}
        for record in records:
            past = pasts.get(record.name) or Past(interval=interval, messages_count=record.messages_count)
            learnt[record.name] = past.seen(interval, record.messages_count)
        return learnt

    def _loose(self, records: Iterable[AgentRecord]) -> dict[str, int]:
        """Return the tokens to consolidate of each agent; where memories cannot be read the round goes on without."""
        found: dict[str, int] = {}
        for record in records if self._loose_tokens else ():
            try:
                found[record.name] = self._loose_tokens(record.name) if self._loose_tokens else 0
            except DatabaseError as error:
                logger.warning("nobody is consolidated in this round, memories cannot be read: %s", error)
                return {}
        return found

    def _view(self, record: AgentRecord, past: Past, now_ms: int, loose_tokens: int) -> AgentView:
        forecaster = past.forecaster()
        return AgentView(
            agent=record.name,
            state=record.state,
            idle=forecaster.chance(),
            quiet_s=max(now_ms - record.active_ms, 0) / 1000,
            load=past.load(forecaster.usual),
            running_count=len(record.running),
            waiting_count=record.waiting_count,
            loose_tokens=loose_tokens,
            is_ours=record.reason.startswith(OURS),
        )

    def _act(
        self, verdicts: Iterable[Verdict], turn: _Turn, failures_ms: dict[str, list[int]]
    ) -> tuple[dict[str, str], list[Move]]:
        """Do what is permitted; moves are those that were tried, whether they succeeded or not."""
        done: dict[str, str] = {}
        moves: list[Move] = []
        position, now_ms = turn.position, turn.term.now_ms
        for verdict in verdicts:
            decision = verdict.decision
            if not verdict.is_permitted or position.mode is Mode.SHADOW:
                continue
            if position.mode is Mode.VALIDATION:
                if decision.action is Action.CONSOLIDATE and self._consolidate:
                    self._consolidate(decision.agent, True)
                    done[decision.agent] = "consolidates dry"
                continue
            # Read anew before each act, so that a rollback or a stop holds at once.
            if not self.switches.position().acts_on(decision.agent):
                continue
            if not turn.holds():
                break
            failure = self._try(decision)
            done[decision.agent] = failure or decision.action.value
            moves.append(Move(agent=decision.agent, action=decision.action, at_ms=now_ms))
            if failure:
                failures_ms.setdefault(_breaker_of(decision.action), []).append(now_ms)
            self.switches.note(now_ms, failed=bool(failure))
        return done, moves

    def _try(self, decision: Decision) -> str:
        """Do one thing to one agent; returns what failed, or nothing. One that somebody else moved is no failure."""
        sleeper = self._app.agents.sleeper
        try:
            if decision.action is Action.SLEEP:
                sleeper.sleep(decision.agent, f"{OURS}{decision.reasons[0]}", drain_s=0.0)
            elif decision.action is Action.WAKE:
                sleeper.wake(decision.agent, f"{OURS}{decision.reasons[0]}")
            elif self._consolidate:
                self._consolidate(decision.agent, False)
        except AgentStateError as error:
            logger.info("agent %r was moved by somebody else: %s", decision.agent, error)
        except BrokerGoneError:
            raise
        except HiveError as error:
            logger.warning("agent %r: %s failed: %s", decision.agent, decision.action.value, error)
            return str(error)
        return ""

    def _release(self, records: Iterable[AgentRecord], turn: _Turn) -> dict[str, str]:
        """Wake whom this scheduler put to sleep and may act on no longer."""
        woken: dict[str, str] = {}
        for record in records:
            is_ours = record.state is AgentState.SLEEPING and record.reason.startswith(OURS)
            if is_ours and not turn.position.acts_on(record.name):
                if self.switches.position().is_stopped or not turn.holds():
                    break
                decision = Decision(
                    agent=record.name, action=Action.WAKE, benefit=0.0, confidence=1.0, reasons=(NOT_REACHED,)
                )
                woken[record.name] = self._try(decision) or Action.WAKE.value
        return woken

    def _write(self, leadership: Leadership, term: Term, notes: Mapping[str, str]) -> None:
        pairs = list(notes.items())
        for first in range(0, len(pairs), PAGE):
            if not leadership.note(term, dict(pairs[first : first + PAGE])):
                logger.warning("a round took longer than %g s and another began: what it learnt is dropped", HOLD_S)
                return


def leanings_of(settings: SchedulerSettings) -> Leanings:
    """Return how readily settings let agents be put to sleep."""
    return Leanings(
        idle_chance=settings.idle_chance,
        wake_chance=settings.wake_chance,
        quiet_s=settings.quiet_s,
        benefit=settings.benefit,
        worth_tokens=settings.worth_tokens,
    )


def safety_of(settings: SchedulerSettings) -> SafetyRules:
    """Return the bounds that settings set."""
    return SafetyRules(
        asleep_share=settings.asleep_share,
        awake_count=settings.awake_count,
        sleeps_share=settings.sleeps_share,
        consolidations_count=settings.consolidations_count,
        cooldown_s=settings.cooldown_s,
        cpu_share=settings.cpu_share,
        memory_share=settings.memory_share,
        disk_share=settings.disk_share,
    )


def host_pressure(app: Any) -> Pressure:
    """Return how full this host is: load of its cores over the last minute, memory, and the disk of the home."""
    host = read_host(app.settings.home)
    return Pressure(
        cpu_share=os.getloadavg()[0] / max(host.cores, 1.0),
        memory_share=1.0 - host.memory_available_mb / max(host.memory_mb, 1),
        disk_share=1.0 - host.disk_free_mb / max(host.disk_mb, 1),
    )


def _recent(moves: Iterable[Move], now_ms: int, rules: SafetyRules) -> tuple[Move, ...]:
    longest_ms = max(rules.sleeps_window_s, rules.cooldown_s, 60.0) * 1000
    return tuple(move for move in moves if now_ms - move.at_ms < longest_ms)


def _failures(notes: Notes, records: Iterable[AgentRecord], now_ms: int) -> dict[str, list[int]]:
    """Return when something failed, of late; consolidations fail elsewhere and leave that with their agents."""
    found = {
        name: [at_ms for at_ms in notes.failures_ms.get(name, []) if now_ms - at_ms < within_ms + open_ms]
        for name, (_, within_ms, open_ms) in BREAKERS.items()
    }
    elsewhere = (
        record.failed_ms
        for record in records
        if record.failure.startswith("consolidation") and record.failed_ms > notes.round_ms
    )
    found["consolidation"] = sorted([*found["consolidation"], *elsewhere])
    return found


def _breaker_of(action: Action) -> str:
    return "consolidation" if action is Action.CONSOLIDATE else "sleep"


def _judged(before: Counts, pasts: Iterable[Past]) -> Counts:
    """Count what was foretold and is over: by what was said, and whether it came true."""
    after = dict(before)
    for past in pasts:
        right = past.judged()
        if right is not None:
            name = f"{'idle' if past.was_idle else 'busy'}_{'right' if right else 'wrong'}"
            after[name] = after.get(name, 0) + 1
    return after


def _foretold(past: Past, idle: IdleChance) -> Past:
    """Return the past with a new foretelling, once the one before it is over."""
    if past.foretold and past.judged() is None:
        return past
    return replace(past, foretold=past.interval if idle.known else 0, was_idle=idle.chance >= 0.5)


def _line(verdict: Verdict, now_ms: int, done: Mapping[str, str]) -> dict[str, Any]:
    decision = verdict.decision
    return {
        "at_ms": now_ms,
        "agent": decision.agent,
        "action": decision.action.value,
        "benefit": round(decision.benefit, 3),
        "confidence": round(decision.confidence, 3),
        "reasons": list(decision.reasons),
        "held_back_by": verdict.reason,
        "done": done.get(decision.agent, ""),
    }
