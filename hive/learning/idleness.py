"""Whether an agent will be needed in the coming while: the chance that a window of time brings (almost) nothing.

Idle means: the window brings at most a quarter (``IDLE_SHARE``) of what an average window of the agent's past
(two days) brought; for one that is seldom called that is nothing at all. The chance is a logistic function of what the past says:
how busy it is now and was a day ago, how its spells of quiet usually went on (their empirical survival, as in the hybrid
histogram of Shahrad et al., "Serverless in the Wild", USENIX ATC 2020), and whether the window was idle an hour, half an
hour and a day before. Two sets of weights, for agents seldom and often called; ``benchmarks/idleness.py --tune`` fits
them on one half of recorded arrivals and judges on the other.

Warning: the weights are for intervals of five minutes and a window of half an hour; the chance means "more likely than
not, if idle and busy windows were equally frequent", which is what a decision with equal care for both asks for.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from hive.learning.history import History

INTERVAL_S = 300.0
WINDOW = 6
HOUR = 12
DAY = 288
#: At most this share of an average window's arrivals is idle.
IDLE_SHARE = 0.25
#: Arrivals in an average window from which an agent counts as often called.
OFTEN = 120.0
#: How many intervals of the past count.
KEPT = 2 * DAY
#: Nothing is foreseen before so many intervals are known.
LEARNING = 48

FEATURES = (
    "bias",
    "level of the last half hour",
    "level of the last ten minutes",
    "level a day ago",
    "its change a day ago",
    "quiet goes on",
    "idle an hour ago",
    "idle half an hour ago",
    "idle a day ago",
    "share of idle hours",
    "calls in a window",
    "quiet so far",
)
SELDOM_WEIGHTS = (-1.004, -0.176, -0.044, -1.166, 0.436, 0.501, 0.829, -0.246, -0.526, 2.235, 0.213, 0.404)
OFTEN_WEIGHTS = (2.062, -0.448, -0.994, -1.187, 0.512, 0.541, 1.172, 1.086, -0.009, 2.558, 0.061, -0.727)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleChance:
    """What is expected of the coming window.

    Attributes:
        chance: that it is idle, 0..1; 0 while the agent is not known for long enough.
        known: whether enough of the past is known to say so.
        features: what the chance was made of, in the order of ``FEATURES``.
    """

    chance: float
    known: bool
    features: tuple[float, ...] = ()


class IdlenessForecaster:
    """Learns one agent's arrivals, an interval of five minutes at a time; it remembers two days.

    Args:
        counts: of the past, oldest first.
    """

    def __init__(self, counts: Sequence[float] = ()) -> None:
        self._history = History(KEPT)
        self._total = 0.0
        self._quiet = 0
        self._spells: deque[int] = deque()
        self._order: list[int] = []
        for count in counts:
            self.update(count)

    @property
    def usual(self) -> float:
        """Arrivals in an average window of the past."""
        held = min(len(self._history), KEPT)
        return self._total / held * WINDOW if held else 0.0

    def update(self, count: float) -> None:
        """Learn how many arrived in the interval that has just ended.

        Raises:
            ValueError: the count is negative or not finite.
        """
        if not (math.isfinite(count) and count >= 0):
            raise ValueError(f"a count of arrivals is a finite number from 0, not {count}")
        if count * WINDOW <= IDLE_SHARE * self.usual or count == 0:
            self._quiet += 1
        else:
            self._end_spell()
        if len(self._history) >= KEPT:
            self._total -= self._history.ago(KEPT)
        self._history.append(count)
        self._total += count

    def chance(self) -> IdleChance:
        """Return the chance that the coming window of six intervals is idle."""
        if len(self._history) < LEARNING:
            return IdleChance(chance=0.0, known=False)
        features = self._features()
        weights = OFTEN_WEIGHTS if self.usual >= OFTEN else SELDOM_WEIGHTS
        score = sum(weight * feature for weight, feature in zip(weights, features, strict=True))
        return IdleChance(chance=1.0 / (1.0 + math.exp(-score)), known=True, features=features)

    def is_idle(self, arrivals: float) -> bool:
        """Tell whether a window with so many arrivals is idle, by the past known now."""
        return arrivals <= IDLE_SHARE * self.usual

    def _features(self) -> tuple[float, ...]:
        day_known = len(self._history) >= DAY + WINDOW
        a_day_ago = self._level(DAY, WINDOW) if day_known else 0.0
        return (
            1.0,
            self._level(WINDOW, WINDOW),
            self._level(2, 2),
            a_day_ago,
            a_day_ago - self._level(DAY + WINDOW, WINDOW) if day_known else 0.0,
            self._goes_on(),
            self._was_idle(HOUR) - 0.5,
            self._was_idle(WINDOW) - 0.5,
            self._was_idle(DAY) - 0.5 if day_known else 0.0,
            self._idle_hours() - 0.5,
            math.log1p(self.usual),
            math.log1p(self._quiet),
        )

    def _level(self, ago: int, length: int) -> float:
        usual = self.usual / WINDOW or 1.0
        return math.log(min(3.0, self._sum(ago, length) / length / usual) + 0.05)

    def _goes_on(self) -> float:
        """Log odds, from past spells, that a quiet as long as this one lasts for another window."""
        reached = len(self._order) - bisect_left(self._order, self._quiet)
        lasted = len(self._order) - bisect_left(self._order, self._quiet + WINDOW)
        return math.log((lasted + 1) / (reached - lasted + 1))

    def _was_idle(self, ago: int) -> float:
        return float(self.is_idle(self._sum(ago, WINDOW)))

    def _idle_hours(self) -> float:
        hours = range(1, min(6, len(self._history) // HOUR) + 1)
        return sum(self._was_idle(HOUR * hour) for hour in hours) / len(hours)

    def _sum(self, ago: int, length: int) -> float:
        return sum(self._history.ago(step) for step in range(ago - length + 1, ago + 1))

    def _end_spell(self) -> None:
        self._spells.append(self._quiet)
        insort(self._order, self._quiet)
        if len(self._spells) > KEPT:
            del self._order[bisect_left(self._order, self._spells.popleft())]
        self._quiet = 0
