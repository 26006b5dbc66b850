"""One breaker as one process knows it: what it may do now, and what it has to tell the broker."""

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from hive.clock import Clock
from hive.errors import BreakerOpenError, BrokerError
from hive.resilience.breaker import (
    FOR_EVER,
    BreakerMachine,
    BreakerState,
    BreakerView,
    CallOutcome,
)
from hive.settings.parts import BreakerSettings
from hive.store.breakers import CallCounts
from hive.store.store import Store

logger = logging.getLogger(__name__)

#: Failures not yet told to the broker that are told at once.
URGENT_FAILURES = 5

#: Seconds until a process that got no probe asks for one again.
LOOK_S = 1.0

#: Seconds for which it is believed that a breaker is still closed; a process that stood still asks before it calls.
TRUST_S = 2.0

#: Seconds between two tries while the broker is away.
AWAY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The right to one call while the breaker is half-open.

    Attributes:
        token: names it.
        is_local: whether this process gave it itself, because the broker is away.
    """

    token: str
    is_local: bool


#: What a call is let through with: a generation of the closed breaker, or a probe.
Permit = int | Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerStatus:
    """Where a breaker stands, as this process knows it.

    Attributes:
        state: closed, open, half-open.
        source: ``broker``, or ``local`` while the broker is away and this process decides alone.
        retry_after_s: seconds until it is worth asking again; 0 while it is closed.
    """

    state: BreakerState
    source: str
    retry_after_s: float


class Circuit:
    """Lets calls pass or refuses them, counts how they end, and agrees with the other processes by reports.

    A call through a closed breaker costs a look and a count; the broker is asked in the background, and by a caller only
    on first use and for a probe. May be used by several threads.

    Args:
        name: the dependency.
        rules: when it opens and closes.
        store: returns the broker's store, in any thread.
        clock: for the time between two views.
        on_urgent: called when a report is due at once.
        on_turn: told where the breaker stands when that changes.
    """

    def __init__(
        self,
        name: str,
        rules: BreakerSettings,
        store: Callable[[], Store],
        clock: Clock,
        on_urgent: Callable[[], None],
        on_turn: Callable[[str, BreakerStatus], None],
    ) -> None:
        self.name = name
        self.rules = rules
        #: The generation of the closed breaker; 0: it is not closed, or nobody knows yet.
        self.closed_generation = 0
        self._store = store
        self._clock = clock
        self._on_urgent, self._on_turn = on_urgent, on_turn
        self._mutex = threading.Lock()
        self._answered = self._failed = self._refused = 0
        self._view: BreakerView | None = None
        self._seen_s = 0.0
        self._quiet_until_s = 0.0
        self._away_until_s = 0.0
        self._probes: set[str] = set()
        self._unsettled: dict[str, CallOutcome] = {}
        #: Decides while the broker is away.
        self._machine: BreakerMachine | None = None

    @property
    def is_local(self) -> bool:
        """Whether the broker is away and this process decides alone."""
        return self._machine is not None

    @property
    def status(self) -> BreakerStatus:
        """Where the breaker stands, by the last report; asks the broker only on first use."""
        view = self._view or self.report()
        source = "local" if self.is_local else "broker"
        return BreakerStatus(state=view.state, source=source, retry_after_s=self._wait_s(view))

    def allow(self) -> Permit:
        """Let a call pass; say how it ended by :meth:`end`.

        Raises:
            BreakerOpenError: it must not be made now.
        """
        return self.passes() or self._allow_anyway()

    def passes(self) -> int:
        """Return the generation of the closed breaker; 0: :meth:`allow` must ask, which may take a round trip."""
        return self.closed_generation if self._clock.monotonic_s() - self._seen_s < TRUST_S else 0

    def end(self, permit: Permit, outcome: CallOutcome) -> None:
        """Count a call that was let through; one of an older generation counts no more."""
        if isinstance(permit, Probe):
            self._settle(permit, outcome)
            return
        with self._mutex:
            if permit != self.closed_generation or outcome is CallOutcome.NEITHER:
                return
            if outcome is CallOutcome.ANSWERED:
                self._answered += 1
                return
            self._failed += 1
            is_urgent = self._failed % URGENT_FAILURES == 0
        if is_urgent:
            self._on_urgent()

    def due_ms(self, in_s: float) -> int:
        """Return the broker's time in ``in_s`` seconds, in milliseconds, by the last report."""
        view = self._view or self.report()
        return view.now_ms + round((self._clock.monotonic_s() - self._seen_s + in_s) * 1000)

    def is_due(self, idle_s: float) -> bool:
        """Whether the broker is to be told or asked: something was counted, or the last view is too old to act on."""
        if self._answered or self._failed or self._refused or self._probes or self._unsettled:
            return True
        return not self.closed_generation or self._clock.monotonic_s() - self._seen_s >= idle_s

    def report(self) -> BreakerView:
        """Tell the broker what was counted, keep probes, and learn where the breaker stands.

        While the broker is away the counts go to a breaker of this process's own, and the broker is tried once a second.
        """
        counts = self._take()
        if self._machine is not None and self._clock.monotonic_s() < self._away_until_s:
            return self._report_locally(self._machine, counts)
        try:
            store = self._store()
            for token, outcome in tuple(self._unsettled.items()):
                self._tell_end(store, token, outcome)
            view = store.breaker_report(self.name, self.rules, counts)
        except BrokerError as error:
            return self._report_locally(self._alone(error), counts)
        return self._adopt(view, is_local=False)

    def _take(self) -> CallCounts:
        with self._mutex:
            generation = self.closed_generation if self._answered or self._failed else 0
            counts = CallCounts(
                generation=generation,
                answered=self._answered,
                failed=self._failed,
                refused=self._refused,
                probes=tuple(self._probes),
            )
            self._answered = self._failed = self._refused = 0
            return counts

    def _allow_anyway(self) -> Permit:
        """Let a call pass if the breaker is closed after all, or if there is a probe for it."""
        now_s = self._clock.monotonic_s()
        view = self._view
        is_stale = view is not None and view.state is BreakerState.CLOSED and now_s - self._seen_s >= TRUST_S
        if view is None or (is_stale and not self.is_local):
            view = self.report()
        if view.state is not BreakerState.CLOSED:
            wait_s = max(self._wait_s(view), self._quiet_until_s - now_s)
            if wait_s > 0:
                raise self._refusal(view, wait_s)
            probe = Probe(token=uuid.uuid4().hex, is_local=self.is_local)
            view = self._ask(probe)
        if view.state is BreakerState.CLOSED:
            return view.generation
        if view.granted:
            return replace(probe, is_local=self.is_local)
        self._quiet_until_s = now_s + LOOK_S
        raise self._refusal(view, max(self._wait_s(view), LOOK_S))

    def _ask(self, probe: Probe) -> BreakerView:
        """Ask for a probe; it is known as ours before anybody can grant it, so that a report renews it."""
        self._probes.add(probe.token)
        machine = self._machine
        if machine is None:
            try:
                view = self._adopt(self._store().breaker_probe(self.name, self.rules, probe.token), is_local=False)
            except BrokerError as error:
                machine = self._alone(error)
        if machine is not None:
            view = self._adopt(machine.probe(self._now_ms(), probe.token), is_local=True)
        if not view.granted:
            self._probes.discard(probe.token)
        return view

    def _settle(self, probe: Probe, outcome: CallOutcome) -> None:
        """End a probe; one that the broker cannot be told of is told of with the next report."""
        machine = self._machine
        if probe.is_local:
            self._probes.discard(probe.token)
            if machine is not None:
                self._adopt(machine.settle(self._now_ms(), probe.token, outcome), is_local=True)
            return
        if machine is not None:
            # The broker is away; a caller does not wait for it.
            self._unsettled[probe.token] = outcome
            return
        try:
            self._tell_end(self._store(), probe.token, outcome)
        except BrokerError:
            self._unsettled[probe.token] = outcome

    def _tell_end(self, store: Store, token: str, outcome: CallOutcome) -> None:
        view = store.breaker_settle(self.name, self.rules, token, outcome)
        self._unsettled.pop(token, None)
        self._probes.discard(token)
        self._adopt(view, is_local=False)

    def _adopt(self, view: BreakerView, *, is_local: bool) -> BreakerView:
        """Take a view for the present one, unless a later one has come meanwhile."""
        with self._mutex:
            before, was_local = self._view, self.is_local
            if before is not None and was_local == is_local and _is_older(view, before):
                return view
            self._view, self._seen_s = view, self._clock.monotonic_s()
            generation = view.generation if view.state is BreakerState.CLOSED else 0
            if generation != self.closed_generation:
                # What is not reported yet is of the generation that has ended.
                self._answered = self._failed = 0
            self.closed_generation = generation
            if was_local and not is_local:
                self._machine = None
        if was_local and not is_local:
            logger.warning("breaker %r: the broker is back and decides again", self.name)
        if (before.state if before else BreakerState.CLOSED) is not view.state:
            logger.warning("breaker %r is %s now", self.name, view.state.word)
            self._on_turn(self.name, self.status)
        return view

    def _alone(self, error: BrokerError) -> BreakerMachine:
        """Return the breaker that decides while the broker is away; begins where the shared one stood."""
        self._away_until_s = self._clock.monotonic_s() + AWAY_S
        with self._mutex:
            if self._machine is not None:
                return self._machine
            view = self._view
            if view is not None and view.state is BreakerState.OPEN and view.until_ms != FOR_EVER:
                view = replace(view, until_ms=self._now_ms() + round(self._wait_s(view) * 1000))
            self._machine = BreakerMachine(self.rules, view)
        logger.warning("breaker %r: this process decides alone while the broker is away: %s", self.name, error)
        return self._machine

    def _report_locally(self, machine: BreakerMachine, counts: CallCounts) -> BreakerView:
        now_ms = self._now_ms()
        for token in counts.probes:
            machine.renew(now_ms, token)
        return self._adopt(machine.report(now_ms, counts.generation, counts.answered, counts.failed), is_local=True)

    def _refusal(self, view: BreakerView, wait_s: float) -> BreakerOpenError:
        with self._mutex:
            self._refused += 1
        reason = "it is open" if view.state is BreakerState.OPEN else "it is half-open and its probes are out"
        return BreakerOpenError(self.name, reason, wait_s)

    def _wait_s(self, view: BreakerView) -> float:
        """Return the seconds until an open breaker may be probed."""
        if view.state is not BreakerState.OPEN:
            return 0.0
        if view.until_ms == FOR_EVER:
            return self.rules.open_s
        return max((view.until_ms - view.now_ms) / 1000 - (self._clock.monotonic_s() - self._seen_s), 0.0)

    def _now_ms(self) -> int:
        return self._clock.wall_ms()


def _is_older(view: BreakerView, other: BreakerView) -> bool:
    return (view.now_ms, view.generation) < (other.now_ms, other.generation)
