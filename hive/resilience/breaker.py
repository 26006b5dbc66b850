"""The circuit breaker as a pure state machine: what the scripts on the broker do, and what counts while it is away.

::

              failures reach the rate or the count
      closed ─────────────────────────────────────► open ◄────────────┐
        ▲                                             │               │
        │ all probes answered          open_s is over │               │ a probe failed
        │                                             ▼               │
        └──────────────────────────────────────── half-open ──────────┘

Each turn begins a new generation; what a call of an older one has to say counts no more. At any time the probes that are
out and those that were answered in this generation are at most ``probes``; one whose holder died is given out again when its
lease ends, one that proved nothing (the caller's own mistake) at once.
"""

from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from hive.errors import GuardRefusedError
from hive.resilience.causes import Cause, classify
from hive.settings.parts import BreakerSettings

#: Parts of a window; the oldest one goes as a whole, so that 90 to 100 % of the window count.
PARTS = 10

#: Causes that say something about the dependency.
OF_THE_DEPENDENCY = frozenset({Cause.NETWORK, Cause.TIMEOUT, Cause.RATE_LIMIT, Cause.RESOURCE, Cause.DEPENDENCY})

#: In place of when it may be probed: an operator opened it for good.
FOR_EVER = -1


class BreakerState(IntEnum):
    """Where a breaker stands."""

    CLOSED = 0
    """Calls pass and are counted."""
    OPEN = 1
    """No call passes."""
    HALF_OPEN = 2
    """Only probes pass."""

    @property
    def word(self) -> str:
        """How it is shown: ``closed``, ``open``, ``half-open``."""
        return self.name.lower().replace("_", "-")


class CallOutcome(Enum):
    """What a call says about its dependency."""

    ANSWERED = "answered"
    FAILED = "failed"
    NEITHER = "neither"
    """It failed for reasons of its own."""


def outcome_of(error: BaseException | None) -> CallOutcome:
    """Return what an error says about the dependency that was called; None: it answered."""
    if error is None:
        return CallOutcome.ANSWERED
    if isinstance(error, GuardRefusedError) or not isinstance(error, Exception):
        return CallOutcome.NEITHER
    return CallOutcome.FAILED if classify(error) in OF_THE_DEPENDENCY else CallOutcome.NEITHER


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerView:
    """A breaker at one instant.

    Attributes:
        state: where it stands.
        generation: grows with each turn.
        until_ms: while it is open, when it may be probed; ``FOR_EVER``: when an operator closes it.
        now_ms: the instant, on the clock that ``until_ms`` is of.
        granted: whether the probe that was asked for is given.
    """

    state: BreakerState
    generation: int
    until_ms: int
    now_ms: int
    granted: bool = False


class BreakerMachine:
    """A breaker that one process keeps for itself. All times are milliseconds of one clock, handed in.

    Args:
        rules: when it opens and closes.
        view: where it stands at first; closed if not given.
    """

    def __init__(self, rules: BreakerSettings, view: BreakerView | None = None) -> None:
        self.rules = rules
        self._state = view.state if view else BreakerState.CLOSED
        self._generation = view.generation if view else 1
        self._until_ms = view.until_ms if view else 0
        self._answered = 0
        self._probes: dict[str, int] = {}
        self._parts: dict[int, tuple[int, int]] = {}

    def report(self, now_ms: int, generation: int, answered: int, failed: int) -> BreakerView:
        """Count calls that ended since the last report; opens if that makes too many failures.

        Args:
            now_ms: the time.
            generation: in which they began; 0: not known.
            answered: calls that were answered.
            failed: calls that failed.
        """
        is_counted = self._state is BreakerState.CLOSED and generation in {0, self._generation}
        if is_counted and answered + failed:
            self._count(now_ms, answered, failed)
            if failed and self._is_too_much():
                self._turn(BreakerState.OPEN, now_ms + _ms(self.rules.open_s))
        return self._view(now_ms)

    def probe(self, now_ms: int, token: str) -> BreakerView:
        """Ask for a probe; granted at most ``probes`` times until they have ended. A repeat returns the same."""
        if self._state is BreakerState.OPEN and FOR_EVER != self._until_ms <= now_ms:
            self._turn(BreakerState.HALF_OPEN, 0)
        granted = False
        if self._state is BreakerState.HALF_OPEN:
            self._probes = {one: end_ms for one, end_ms in self._probes.items() if end_ms > now_ms}
            granted = token in self._probes or len(self._probes) + self._answered < self.rules.probes
            if granted:
                self._probes[token] = now_ms + _ms(self.rules.probe_lease_s)
        return self._view(now_ms, granted=granted)

    def renew(self, now_ms: int, token: str) -> None:
        """Keep a probe that takes its time; one that was given to another stays lost."""
        if token in self._probes:
            self._probes[token] = now_ms + _ms(self.rules.probe_lease_s)

    def settle(self, now_ms: int, token: str, outcome: CallOutcome) -> BreakerView:
        """End a probe. A repeat, or one whose lease was given to another, changes nothing."""
        held = self._probes.pop(token, None) is not None
        if held and outcome is CallOutcome.FAILED:
            self._turn(BreakerState.OPEN, now_ms + _ms(self.rules.open_s))
        elif held and outcome is CallOutcome.ANSWERED:
            self._answered += 1
            if self._answered >= self.rules.probes:
                self._turn(BreakerState.CLOSED, 0)
        return self._view(now_ms)

    def _count(self, now_ms: int, answered: int, failed: int) -> None:
        part = now_ms // part_ms(self.rules)
        self._parts = {one: counts for one, counts in self._parts.items() if one > part - PARTS}
        before = self._parts.get(part, (0, 0))
        self._parts[part] = before[0] + answered + failed, before[1] + failed

    def _is_too_much(self) -> bool:
        calls = sum(counts[0] for counts in self._parts.values())
        failed = sum(counts[1] for counts in self._parts.values())
        by_count = 0 < self.rules.failure_count <= failed
        return by_count or (calls >= self.rules.min_calls and failed >= self.rules.failure_rate * calls)

    def _turn(self, state: BreakerState, until_ms: int) -> None:
        self._state, self._until_ms, self._generation = state, until_ms, self._generation + 1
        self._answered, self._probes, self._parts = 0, {}, {}

    def _view(self, now_ms: int, *, granted: bool = False) -> BreakerView:
        view = BreakerView(state=self._state, generation=self._generation, until_ms=self._until_ms, now_ms=now_ms)
        return replace(view, granted=True) if granted else view


def part_ms(rules: BreakerSettings) -> int:
    """Return the length of one part of the window in milliseconds."""
    return max(_ms(rules.window_s) // PARTS, 1)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
