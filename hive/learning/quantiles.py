"""Quantiles of service times in bounded memory.

A time falls into a bucket whose bounds are a fixed quotient apart, so that any quantile is off by a bounded share of
itself, however the times are distributed. Source: Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile
sketch with relative-error guarantees", VLDB 12 (2019). Old times can be forgotten exponentially, which keeps the
sketch current when a task changes.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

#: Times below a microsecond are as good as none; above a month they are counted as one.
LEAST_S, MOST_S = 1e-6, 30 * 86_400.0


class QuantileSketch:
    """Counts of times by the power of a quotient they fall under.

    Args:
        relative_error: by which a quantile may be off, as a share of itself; the memory is at most
            ``log(MOST_S / LEAST_S) / (2 * relative_error)`` numbers, 1,442 at 1 %.
        memory: number of times after which one counts about a third; unset: none is ever forgotten.
    """

    def __init__(self, relative_error: float = 0.01, memory: int | None = None) -> None:
        if not 0.0 < relative_error < 0.5:
            raise ValueError(f"relative_error is above 0 and below 0.5, not {relative_error}")
        self._quotient = (1.0 + relative_error) / (1.0 - relative_error)
        self._log = math.log(self._quotient)
        self._buckets: dict[int, float] = {}
        self._growth = 1.0 / (1.0 - 1.0 / memory) if memory and memory > 1 else 1.0
        self._weight = 1.0
        self._total = self._sum = 0.0

    @property
    def count(self) -> float:
        """How many times it holds; forgotten parts do not count."""
        return self._total / self._weight

    @property
    def mean_s(self) -> float:
        """Their mean in seconds; 0 of none."""
        return self._sum / self._total if self._total else 0.0

    @property
    def bucket_count(self) -> int:
        """How many buckets are in use."""
        return len(self._buckets)

    def add(self, time_s: float) -> None:
        """Count one time in seconds.

        Raises:
            ValueError: it is negative or not a finite number.
        """
        self.add_all((time_s,))

    def add_all(self, times_s: Iterable[float]) -> None:
        """Count several times in seconds; one that is none raises ValueError, and those before it are counted."""
        buckets, log, growth = self._buckets, self._log, self._growth
        for time_s in times_s:
            if not 0.0 <= time_s < math.inf:
                raise ValueError(f"a service time is a finite number of seconds and not negative, not {time_s}")
            held_s = LEAST_S if time_s < LEAST_S else min(time_s, MOST_S)
            self._weight = weight = self._weight * growth
            key = math.ceil(math.log(held_s) / log)
            buckets[key] = buckets.get(key, 0.0) + weight
            self._total += weight
            self._sum += weight * time_s
            if weight > 1e100:
                self._rescale()
                buckets = self._buckets

    def quantile_s(self, share: float) -> float:
        """Return the time in seconds that ``share`` (0..1) of them do not exceed; 0 of none."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"a share lies within 0..1, not {share}")
        if not self._total:
            return 0.0
        keys = sorted(self._buckets)
        passed = list(accumulate(map(self._buckets.__getitem__, keys)))
        place = bisect_left(passed, share * self._total)
        return self._middle_s(keys[min(place, len(keys) - 1)])

    def _middle_s(self, key: int) -> float:
        """Return the time that is off by the same share from both bounds of a bucket."""
        return 2.0 * self._quotient**key / (self._quotient + 1.0)

    def _rescale(self) -> None:
        """Divide all weights by the newest one; buckets that round to nothing go."""
        kept = {key: weight / self._weight for key, weight in self._buckets.items()}
        self._buckets = {key: weight for key, weight in kept.items() if weight > 1e-12}
        self._total, self._sum = self._total / self._weight, self._sum / self._weight
        self._weight = 1.0
