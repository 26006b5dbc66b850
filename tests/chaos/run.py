"""One run of a case: its size, its dice, its clock, and its report."""

import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.chaos.ledger import Verdict

T = TypeVar("T")

#: Leases of the short profile: the shape of the defaults, shorter, yet longer than a busy machine keeps a process waiting.
QUICK = {"lease_s": 2.4, "renew_every_s": 0.6, "reap_every_s": 0.15, "poll_every_s": 0.5}


@dataclass(slots=True)
class Run:
    """What a case is given.

    Attributes:
        is_long: the long profile: the sizes of the promise, with default settings.
        seed: of all that is random in it.
    """

    is_long: bool
    seed: int
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def pick(self, short: T, long: T) -> T:
        """Return the size for this profile."""
        return long if self.is_long else short

    @property
    def delivery(self) -> dict[str, float]:
        """The delivery settings: the defaults, or shorter leases."""
        return {} if self.is_long else QUICK

    @property
    def lease_s(self) -> float:
        """Length of a lease under these settings."""
        return self.delivery.get("lease_s", 6.0)

    def pause(self, at_most_s: float) -> None:
        """Let a random part of ``at_most_s`` pass, so that faults meet every phase."""
        wait_s(self.rng.uniform(0, at_most_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a case came to.

    Attributes:
        verdict: the four words.
        figures: what was measured, by name with unit.
        bounds: upper bounds of some of the figures; one over its bound fails the case.
    """

    verdict: Verdict
    figures: dict[str, float] = field(default_factory=dict)
    bounds: dict[str, float] = field(default_factory=dict)

    def broken(self) -> list[str]:
        """Return what did not hold, as sentences."""
        words = self.verdict
        said = [
            f"{getattr(words, word)} {word}" for word in ("lost", "duplicated", "unexpected") if getattr(words, word)
        ]
        said += [
            f"{name} is {self.figures[name]:g}, over {bound:g}"
            for name, bound in self.bounds.items()
            if self.figures[name] > bound
        ]
        return said


def quantile(values: Iterable[float], part: float) -> float:
    """Return the value below which ``part`` (0..1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def wait_s(seconds: float) -> None:
    """Let time pass for the system under test; for outages of a given length only, never to wait for an effect."""
    threading.Event().wait(seconds)


def now_s() -> float:
    """Seconds on the clock of the effects."""
    return time.monotonic()
