"""How many workers a fleet has: one scaler looks, decides and acts at a time.

::

    lead? ─no──► stand by
      │ yes, term n
    look at the broker ─► plan (pure, within the budget) ─► record under term n ─refused──► stand by: another leads
                                                              │ recorded
                                                              └─► event, actuator: start, drain

Of several scalers the leader acts (:mod:`hive.store.leadership`). A decision is recorded on the broker before it is carried
out, and refused there if its term has ended: a scaler that was frozen or cut off changes nothing when it is back. The number
of workers that was ordered last counts as there: those that start are not ordered twice, and a platform that is slow, or
cannot, is told the same number again. While the broker is away nothing is changed.
"""

import json
import logging
import socket
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kombu.exceptions import OperationalError

from hive.agents.types import AgentType
from hive.runtime.app import Hive
from hive.runtime.supervision.actuators import Actuator
from hive.runtime.supervision.fleet_view import FleetView
from hive.scaling.fleet import PoolDecision, plan
from hive.scaling.policy import ScalingState
from hive.store.faults import BrokerFullError, BrokerGoneError
from hive.store.leadership import Leadership, Term
from hive.store.scaling import SCALING
from hive.telemetry.events import PoolScaled, fields_of

logger = logging.getLogger(__name__)

#: Looks after which what was decided is recorded again though it is the same: what it was seen by is not.
RECORD_EVERY = 5

#: Holds for which a new scaler is refused before it takes it that another leads, and not the one it replaces.
LEFT_OVER_HOLDS = 2

#: The scope of its decisions, where a worker's own have its name.
FLEET = "fleet"


class FleetScaler:
    """Follows demand with whole workers; :meth:`run` until it is told to stop, or :meth:`run_once`.

    Args:
        app: the application.
        agents: the types whose workers it counts.
        actuator: carries sizes out.
        holder: who this is, fresh for each life; made up if not given.
    """

    def __init__(self, app: Hive, agents: Sequence[AgentType], actuator: Actuator, holder: str | None = None) -> None:
        self._app, self._actuator, self._clock = app, actuator, app.process.clock
        self._holder = holder or f"{socket.gethostname()}:{uuid.uuid4().hex}"
        self._view = FleetView(app, agents)
        self._store: Any = None
        self._leadership: Leadership | None = None
        self._term: Term | None = None
        self._campaign_at_s = float("-inf")
        #: Since when it has found another leading, by its monotonic clock; None: it leads, has stood by, or was never refused.
        self._refused_at_s: float | None = None
        self._has_stood_by = False
        self._states: Mapping[str, ScalingState] = {}
        #: How many workers each agent type is to have, as this scaler last ordered; none: it has not yet.
        self._ordered: dict[str, int | None] = {}
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._number = 0
        self._minute = 0

    @property
    def term(self) -> Term | None:
        """The term in which it leads; none: another does."""
        return self._term

    def run(self, stopped: threading.Event, on_decided: Callable[[list[PoolDecision]], None] | None = None) -> None:
        """Look again and again until ``stopped`` is set, then let another lead.

        Args:
            stopped: ends it.
            on_decided: told of the decisions of each look as leader.
        """
        failing = False
        while not stopped.is_set():
            try:
                decided = self.run_once()
                failing = False
                if decided is not None and on_decided is not None:
                    on_decided(decided)
            except (BrokerGoneError, BrokerFullError) as error:
                if not failing:
                    logger.warning("no worker is started or drained until the broker is back: %s", error)
                failing = True
                self._campaign_at_s = float("-inf")
            stopped.wait(self._app.settings.scaling.every_s)
        self._resign()

    def run_once(self) -> list[PoolDecision] | None:
        """Look once, decide and act; None: another scaler leads, or has taken over.

        Raises:
            BrokerGoneError: the broker does not answer; nothing is changed that was not recorded.
        """
        term = self._campaign()
        if term is None:
            return None
        decided, states = plan(self._view.look(self._ordered), self._states, self._view.budget)
        ends_s = self._clock.monotonic_s() + self._app.settings.scaling.hold_s
        self._number += 1
        orders: dict[str, int] = {}
        for one in decided:
            if not self._record(term, one):
                self._stand_by("its term has ended")
                return None
            if one.workers != self._ordered.get(one.agent_type):
                orders[one.agent_type] = one.workers
        if self._clock.monotonic_s() > ends_s:
            # Frozen since it was recorded: by now another may have ordered otherwise.
            self._stand_by("it took too long")
            return None
        self._states = states
        done = self._actuator.have(orders) if orders else set()
        for name in done:
            self._ordered[name] = orders[name]
        self._keep_arrivals()
        return decided

    def observe(self) -> list[PoolDecision]:
        """Look once and decide, and change nothing: neither who leads nor any size.

        Raises:
            BrokerGoneError: the broker does not answer.
        """
        return plan(self._view.look(self._ordered), self._states, self._view.budget)[0]

    def _campaign(self) -> Term | None:
        now_s, hold_s = self._clock.monotonic_s(), self._app.settings.scaling.hold_s
        if self._term is not None and now_s < self._campaign_at_s:
            return self._term
        store = self._app.access.store
        if self._leadership is None or self._store is not store:
            self._store, self._leadership = store, Leadership(store, SCALING, self._holder, hold_s)
        before, term = self._term, self._leadership.campaign()
        self._campaign_at_s = now_s + hold_s / 3
        if term is None:
            if before is not None or self._is_left_over(now_s):
                self._stand_by("another leads")
            return None
        self._refused_at_s, self._has_stood_by = None, False
        if before is None or before.number != term.number:
            logger.info("scaling the fleet in term %d", term.number)
            self._ordered, self._states, self._shown, self._minute = {}, {}, {}, 0
        self._term = term
        return term

    def _is_left_over(self, now_s: float) -> bool:
        """Whether sizes may be there that nobody answers for: of a scaler that was killed here before another took over.

        Until then it may be the killed one that still has the lead, and this one that is to go on with its sizes.
        """
        if self._has_stood_by:
            return False
        self._refused_at_s = now_s if self._refused_at_s is None else self._refused_at_s
        return now_s - self._refused_at_s > LEFT_OVER_HOLDS * self._app.settings.scaling.hold_s

    def _stand_by(self, why: str) -> None:
        logger.warning("scaling is left to another: %s", why)
        self._term, self._campaign_at_s, self._has_stood_by = None, float("-inf"), True
        self._actuator.stand_by()

    def _resign(self) -> None:
        if self._term is None or self._leadership is None:
            return
        try:
            self._note_arrivals()
            self._leadership.resign()
        except (BrokerGoneError, BrokerFullError) as error:
            logger.warning("the lead of scaling ends by itself: %s", error)
        self._term = None

    def _keep_arrivals(self) -> None:
        """Have the broker keep what came in the minute that has ended, for forecasts and simulations."""
        minute = self._clock.wall_ms() // 60_000
        if minute != self._minute:
            try:
                self._note_arrivals()
            except BrokerFullError as error:
                logger.warning("what came in minute %d is not kept: %s", self._minute, error)
            self._minute = minute

    def _note_arrivals(self) -> None:
        counts = {pool.agent.name: pool.arrived() for pool in self._view.pools}
        if self._minute:
            self._app.access.store.note_arrivals(self._minute, counts)

    def _record(self, term: Term, one: PoolDecision) -> bool:
        """Record a decision if it says anything new; whether the term goes on, as far as the broker was asked."""
        name, before = one.agent_type, self._ordered.get(one.agent_type)
        shown = (one.workers, one.decision.target, one.decision.reason, one.override)
        is_news = shown != self._shown.get(name)
        if not is_news and one.workers == before and self._number % RECORD_EVERY:
            return True
        changed = is_news and before is not None and one.workers != before
        record = described(one, term.number, self._clock.wall_ms())
        if not self._app.access.store.record_scaling(name, json.dumps(record), term=term.number, changed=changed):
            return False
        self._shown[name] = shown
        if changed:
            logger.info(
                "%s: %d workers instead of %d (%s; %d wait)",
                name, one.workers, before, one.decision.reason, one.decision.observation.backlog,
            )  # fmt: skip
            self._tell(one, term.number)
        return True

    def _tell(self, one: PoolDecision, term: int) -> None:
        event = PoolScaled(
            agent_type=one.agent_type,
            scope=FLEET,
            workers=one.workers,
            override=one.override,
            term=term,
            decision=one.decision.described(),
        )
        try:
            with self._app.events.default_dispatcher(hostname=f"{FLEET}@{socket.gethostname()}") as dispatcher:
                dispatcher.send(event.name, **fields_of(event))
        except (BrokerGoneError, OperationalError, OSError) as error:
            # The history on the broker has it.
            logger.warning("the event of a change cannot be sent: %s", error)


def described(one: PoolDecision, term: int | None, at_ms: int) -> dict[str, Any]:
    """Return a decision as it is recorded and served.

    Args:
        one: the decision.
        term: of the leader; None: nobody is to act by it.
        at_ms: wall time.
    """
    return {
        "agent_type": one.agent_type,
        "scope": FLEET,
        "workers": one.workers,
        "override": one.override,
        "term": term,
        "at_ms": at_ms,
        **one.decision.described(),
    }
