"""A round of the scheduler: learn, decide, judge, act, write down."""

import logging
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hive.agents.lifecycle import AgentState
from hive.clock import Clock, SystemClock
from hive.consolidation.decision import AgentView, decide
from hive.consolidation.safety import (
    CONSOLIDATION_BREAKER,
    Fleet,
    Pressure,
    Verdict,
    breaker_of,
    judge,
    open_breakers,
    remembered_s,
    still_counting,
)
from hive.consolidation.stages import Mode
from hive.database.checkpoints import DatabaseError
from hive.learning.idleness import INTERVAL_S
from hive.resources.host import read_host
from hive.runtime.rest.acts import OURS, Acts
from hive.runtime.rest.notes import PAST, Notes, line_of
from hive.runtime.rest.past import Past, counted
from hive.runtime.rest.switches import FLAG, Position, Switches
from hive.store.leadership import Leadership, Term
from hive.store.lifecycles import AgentRecord
from hive.store.store import Store

logger = logging.getLogger(__name__)

#: Seconds a round may take before another may begin.
HOLD_S = 120.0
#: Notes that are written in one step.
PAGE = 500


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
        self._settings = app.settings.scheduler

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
        records, now_ms = self._store.agents(), term.now_ms
        pasts = _learnt(records, notes.pasts, now_ms)
        views = self._views(records, pasts, now_ms)
        failures_ms = _failures(notes, records, now_ms)
        fleet = self._fleet(records, notes, failures_ms, position, now_ms)
        verdicts = self._verdicts(views, fleet, position)
        acts = Acts(self._app, leadership, term, self.switches, position, self._consolidate)
        acts.carry_out(verdicts)
        acts.release(records)
        for action in acts.failed:
            failures_ms[breaker_of(action)].append(now_ms)
        after = Notes(
            pasts={view.agent: pasts[view.agent].foretelling(view.idle) for view in views},
            moves=(*fleet.moves, *acts.moves),
            failures_ms=failures_ms,
            judged=counted(notes.judged, pasts.values()),
            log=[*notes.log, *(line_of(verdict, now_ms, acts.done) for verdict in verdicts)],
            round_ms=now_ms,
        )
        gone = {f"{PAST}{agent}": "" for agent in notes.pasts.keys() - pasts.keys()}
        _write(leadership, term, gone | after.written())
        return RoundReport(
            is_leading=True,
            mode=position.mode,
            stage=position.rollout.stage,
            agents_count=len(records),
            verdicts=tuple(verdicts),
            done=acts.done,
        )

    def _views(self, records: Sequence[AgentRecord], pasts: Mapping[str, Past], now_ms: int) -> list[AgentView]:
        loose_tokens, views = self._loose(records), []
        for record in records:
            past = pasts[record.name]
            forecaster = past.forecaster()
            views.append(
                AgentView(
                    agent=record.name,
                    state=record.state,
                    idle=forecaster.chance(),
                    quiet_s=max(now_ms - record.active_ms, 0) / 1000,
                    load=past.load(forecaster.usual),
                    running_count=len(record.running),
                    waiting_count=record.waiting_count,
                    loose_tokens=loose_tokens.get(record.name, 0),
                    is_ours=record.reason.startswith(OURS),
                )
            )
        return views

    def _loose(self, records: Iterable[AgentRecord]) -> dict[str, int]:
        """Return the tokens to consolidate of each agent; where memories cannot be read the round goes on without."""
        if self._loose_tokens is None:
            return {}
        try:
            return {record.name: self._loose_tokens(record.name) for record in records}
        except DatabaseError as error:
            logger.warning("nobody is consolidated in this round, memories cannot be read: %s", error)
            return {}

    def _fleet(
        self,
        records: Sequence[AgentRecord],
        notes: Notes,
        failures_ms: Mapping[str, Sequence[int]],
        position: Position,
        now_ms: int,
    ) -> Fleet:
        since_ms = now_ms - remembered_s(self._settings) * 1000
        return Fleet(
            now_ms=now_ms,
            agents_count=len(records),
            asleep_count=sum(record.state is not AgentState.AWAKE for record in records),
            moves=tuple(move for move in notes.moves if move.at_ms > since_ms),
            pressure=self._pressure(),
            is_stopped=position.is_stopped,
            open_breakers=open_breakers(failures_ms, now_ms),
        )

    def _verdicts(self, views: Iterable[AgentView], fleet: Fleet, position: Position) -> list[Verdict]:
        """Judge the decisions on all agents, or where they are carried out, on those that may be acted on."""
        is_live = position.mode is Mode.LIVE
        decisions = (decide(view, self._settings) for view in views)
        reached = [one for one in decisions if not is_live or position.acts_on(one.agent)]
        return judge(reached, fleet, self._settings)


def host_pressure(app: Any) -> Pressure:
    """Return how full this host is: load of its cores over the last minute, memory, and the disk of the home."""
    host = read_host(app.settings.home)
    return Pressure(
        cpu_share=os.getloadavg()[0] / max(host.cores, 1.0),
        memory_share=1.0 - host.memory_available_mb / max(host.memory_mb, 1),
        disk_share=1.0 - host.disk_free_mb / max(host.disk_mb, 1),
    )


def _learnt(records: Iterable[AgentRecord], pasts: Mapping[str, Past], now_ms: int) -> dict[str, Past]:
    interval, learnt = int(now_ms / 1000 / INTERVAL_S), {}
    for record in records:
        past = pasts.get(record.name) or Past(interval=interval, messages_count=record.messages_count)
        learnt[record.name] = past.seen(interval, record.messages_count)
    return learnt


def _failures(notes: Notes, records: Iterable[AgentRecord], now_ms: int) -> dict[str, list[int]]:
    """Return when something failed, of late; consolidations fail elsewhere and leave that with their agents."""
    found = still_counting(notes.failures_ms, now_ms)
    elsewhere = (
        record.failed_ms
        for record in records
        if record.failure.startswith("consolidation") and record.failed_ms > notes.round_ms
    )
    found[CONSOLIDATION_BREAKER] = sorted([*found[CONSOLIDATION_BREAKER], *elsewhere])
    return found


def _write(leadership: Leadership, term: Term, notes: Mapping[str, str]) -> None:
    pairs = list(notes.items())
    for first in range(0, len(pairs), PAGE):
        if not leadership.note(term, dict(pairs[first : first + PAGE])):
            logger.warning("a round took longer than %g s and another began: what it learnt is dropped", HOLD_S)
            return
