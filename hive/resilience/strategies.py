"""The seven retry strategies: frozen values that say when a failed task is tried again, or that it is not."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from hive.resilience.adaptive import Outcomes, at_once, choose, is_hopeless
from hive.resilience.budget import RetryBudget
from hive.resilience.causes import NOT_RETRIED, Cause, CauseTable
from hive.resilience.failure import Decision, Failure


@dataclass(frozen=True, kw_only=True)
class RetryStrategy(ABC):
    """What all strategies have in common.

    Attributes:
        max_retries: retries after the first attempt; ``None``: as many as the deadline allows.
        cap_s: longest wait in seconds; only what the other side asked for may be longer.
        deadline_s: seconds after the first failure past which no attempt is begun; ``None``: none.
        jitter: part of a wait that is taken at random, 0 to 1. It is taken off after the cap, so that waits at the cap
            differ as much as others; it is added to what the other side asked for, which is never undercut.
        budget: bound on the retries of a dependency, if it is to have one.
        causes: error classes, or their qualified names, with causes, where hive does not know them or you know better.
        dead_letter: whether a task whose retries are used up becomes a dead letter, besides failing.

    Raises:
        ValueError: a figure is out of range, or a cause is unknown.
    """

    name: ClassVar[str] = ""

    max_retries: int | None = 3
    cap_s: float = 3600.0
    deadline_s: float | None = 86_400.0
    jitter: float = 0.25
    budget: RetryBudget | None = None
    causes: CauseTable = field(default_factory=dict, hash=False)
    dead_letter: bool = False

    def __post_init__(self) -> None:
        if self.max_retries is None and self.deadline_s is None:
            raise ValueError("a retry strategy needs max_retries or deadline_s: without both it never ends")
        if (self.max_retries or 0) < 0 or self.cap_s <= 0 or (self.deadline_s is not None and self.deadline_s < 0):
            raise ValueError("a retry strategy needs max_retries >= 0, cap_s > 0 and deadline_s >= 0")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter is a part of the wait: 0 to 1")
        for cause in self.causes.values():
            Cause(cause)

    def decide(self, failure: Failure, random: Random, outcomes: Outcomes | None = None) -> Decision:
        """Say when a failed task is tried again, or that it is not, and why.

        Args:
            failure: what happened.
            random: draws the jitter.
            outcomes: what became of earlier retries; only the adaptive strategy asks for it.
        """
        cause = failure.cause
        if cause in NOT_RETRIED:
            return Decision(delay_s=None, why=f"{cause}: another attempt would fail the same way")
        if self.max_retries is not None and failure.retries >= self.max_retries:
            return Decision(delay_s=None, why=f"{cause}: {failure.retries} retries are used up", is_exhausted=True)
        if failure.retry_after_s is not None:
            asked_s = failure.retry_after_s
            wait_s = asked_s * (1 + self.jitter * random.random())
            decision = Decision(delay_s=wait_s, why=f"{cause}: asked to wait {asked_s:g} s")
        else:
            decision = self._plan(failure, random, outcomes or Outcomes())
        if decision.delay_s is None or self.deadline_s is None:
            return decision
        if failure.elapsed_s + decision.delay_s > self.deadline_s:
            why = f"{cause}: the next attempt would begin past the deadline of {self.deadline_s:g} s"
            return Decision(delay_s=None, why=why, is_exhausted=True)
        return decision

    @abstractmethod
    def _plan(self, failure: Failure, random: Random, outcomes: Outcomes) -> Decision:
        """Return the wait, capped and with jitter."""


@dataclass(frozen=True, kw_only=True)
class Formula(RetryStrategy):
    """A strategy whose wait is a formula of the failure."""

    @abstractmethod
    def wait_s(self, failure: Failure) -> float:
        """Return the wait in seconds before cap and jitter."""

    def _plan(self, failure: Failure, random: Random, outcomes: Outcomes) -> Decision:  # noqa: ARG002 - learns nothing
        wait_s = min(self.wait_s(failure), self.cap_s) * (1 - self.jitter * random.random())
        return Decision(delay_s=wait_s, why=f"{failure.cause}: {self.name}, retry {failure.retries + 1}")


@dataclass(frozen=True, kw_only=True)
class ImmediateRetry(Formula):
    """At once, for what fails by chance: a model that answers otherwise the next time.

    Attributes:
        within_s: seconds over which the retries are spread.
    """

    name: ClassVar[str] = "immediate"

    within_s: float = 0.1
    jitter: float = 1.0

    def wait_s(self, failure: Failure) -> float:  # noqa: ARG002 - the same for every failure
        """Return ``within_s``, all of which is jitter unless that is set otherwise."""
        return self.within_s


@dataclass(frozen=True, kw_only=True)
class LinearRetry(Formula):
    """After once, twice, three times ``base_s`` seconds."""

    name: ClassVar[str] = "linear"

    base_s: float = 1.0

    def wait_s(self, failure: Failure) -> float:
        """Return the base times the number of the retry."""
        return self.base_s * (failure.retries + 1)


@dataclass(frozen=True, kw_only=True)
class ExponentialRetry(Formula):
    """After ``base_s`` seconds, and ``factor`` times as long each time."""

    name: ClassVar[str] = "exponential"

    base_s: float = 1.0
    factor: float = 2.0

    def wait_s(self, failure: Failure) -> float:
        """Return the base times the factor to the power of the retries made."""
        return _grown(self.base_s, self.factor, failure.retries, self.cap_s)


@dataclass(frozen=True, kw_only=True)
class FibonacciRetry(Formula):
    """After 1, 1, 2, 3, 5, 8 ... times ``base_s`` seconds: gentler than doubling."""

    name: ClassVar[str] = "fibonacci"

    base_s: float = 1.0

    def wait_s(self, failure: Failure) -> float:
        """Return the base times the Fibonacci number of the retry."""
        before, number = 0, 1
        for _ in range(min(failure.retries, 100)):
            before, number = number, before + number
        return self.base_s * number


@dataclass(frozen=True, kw_only=True)
class PriorityRetry(Formula):
    """Doubling waits whose base depends on the message's priority: what matters more comes back sooner.

    Attributes:
        bases_s: for priorities 0 to 2, 3 to 5, 6 to 8 and 9. As on the broker, 0 is served first, and a message without a
            priority has 0.
    """

    name: ClassVar[str] = "priority"

    bases_s: tuple[float, float, float, float] = (1.0, 5.0, 30.0, 300.0)

    def wait_s(self, failure: Failure) -> float:
        """Return the priority's base, doubled with each retry."""
        step = min(max(failure.priority, 0) // 3, 3)
        return _grown(self.bases_s[step], 2.0, failure.retries, self.cap_s)


@dataclass(frozen=True, kw_only=True)
class BatchedRetry(Formula):
    """Failures of one dependency wait together; one of them tries it, and all go on once that one was done.

    They wait on the broker. When the probe is done the others are released, oldest first, at ``release_per_s`` over the
    whole fleet: that is this strategy's budget. They go half a second's worth at a time, the next as those before begin,
    and none while one that failed again has a probe out: however long workers are held up, no second sees more than one and
    a half times the pace. One that was not released within ``hold_s`` tries by itself, at the same pace, and one of them
    half a minute after the probe was due, so nothing waits long for a probe that was lost. The attempts of both count like any.

    Attributes:
        dependency: what is called; all tasks that name it wait together. ``None``: the tasks of one name and cause do.
        release_per_s: attempts a second that fall due when the dependency is back. Less than it can bear leaves room for
            its ordinary calls.
        probe_s: seconds until the first probe; doubled with each that fails, up to ``probe_cap_s``.
        probe_cap_s: longest seconds between two probes, which is how late the return of the dependency may be noticed.
        hold_s: seconds one waits for its release.
    """

    name: ClassVar[str] = "batched"

    max_retries: int | None = None
    dependency: str | None = None
    release_per_s: float = 50.0
    probe_s: float = 1.0
    probe_cap_s: float = 10.0
    hold_s: float = 300.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.budget is not None:
            raise ValueError("a batched strategy has release_per_s for its budget")
        if min(self.release_per_s, self.probe_s, self.probe_cap_s, self.hold_s) <= 0:
            raise ValueError("a batched strategy needs release_per_s, probe_s, probe_cap_s and hold_s > 0")

    def wait_s(self, failure: Failure) -> float:
        """Return the wait of a probe; the broker says who is one."""
        return min(_grown(self.probe_s, 2.0, failure.retries, self.probe_cap_s), self.probe_cap_s)


@dataclass(frozen=True, kw_only=True)
class AdaptiveRetry(RetryStrategy):
    """When it helped before: learned from what became of each retry, per task and cause, over the whole fleet.

    A retry counts as done only when its task was, and as failed when it failed again. Without anything learned it waits
    about as an exponential strategy does. See :mod:`hive.resilience.adaptive`.

    Attributes:
        attempt_cost_s: seconds of waiting that one failed attempt is worth: more makes it wait longer and try less.
        gives_up: whether a task's bugs, which are retried at once, are no longer retried once that practically never
            helped. Other causes are always retried: an outage may last.
    """

    name: ClassVar[str] = "adaptive"

    attempt_cost_s: float = 10.0
    gives_up: bool = True

    def _plan(self, failure: Failure, random: Random, outcomes: Outcomes) -> Decision:
        good, bad = outcomes.total
        if self.gives_up and failure.cause is Cause.BUG and is_hopeless(outcomes, random):
            why = f"{failure.cause}: of the last {good + bad:.0f} retries after it {good:.0f} were done"
            return Decision(delay_s=None, why=why, is_exhausted=True)
        if failure.cause is Cause.BUG:
            choice = at_once(outcomes, failure.elapsed_s)
        else:
            choice = choose(outcomes, failure.elapsed_s, self.cap_s, self.attempt_cost_s, random)
        wait_s = min(choice.delay_s + (choice.delay_s or 0.1) * self.jitter * random.random(), self.cap_s)
        if choice.delay_s >= self.cap_s:
            wait_s = self.cap_s * (1 - self.jitter * random.random())
        return Decision(delay_s=wait_s, why=f"{failure.cause}: {choice.why}", cell=choice.cell)


#: The strategies by the names that settings use.
STRATEGIES: dict[str, Callable[..., RetryStrategy]] = {
    kind.name: kind
    for kind in (
        ImmediateRetry,
        LinearRetry,
        ExponentialRetry,
        FibonacciRetry,
        BatchedRetry,
        PriorityRetry,
        AdaptiveRetry,
    )
}


def _grown(base_s: float, factor: float, times: int, cap_s: float) -> float:
    """Return ``base_s * factor ** times``, or the cap where that is out of reach of a float."""
    try:
        return base_s * factor**times
    except OverflowError:
        return cap_s
