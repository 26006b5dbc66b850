"""Forecasts that need no fitting: the last value, the same moment a season ago, and medians of either.

Sources: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition, chapter 5 (naive and seasonal
naive). Medians, because the error that is judged is absolute, and the median is what makes it least.
"""

from collections.abc import Callable
from statistics import median_low
from typing import Protocol

from hive.learning.history import History


class Model(Protocol):
    """Something that forecasts a series from its past; fed once for each interval, after the history got the value."""

    def update(self, value: float) -> None:
        """Take note of the value of the interval that has just ended."""

    def predict(self, horizon: int) -> float:
        """Return the value to be expected ``horizon`` intervals after the latest one (at least 1)."""


class LastValue:
    """What was is what will be."""

    def __init__(self, history: History) -> None:
        self._history = history

    def update(self, value: float) -> None:
        """Nothing to fit."""

    def predict(self, horizon: int) -> float:  # noqa: ARG002 - the same for every horizon
        """Return the latest value; 0 if there is none."""
        return self._history.ago(1) if len(self._history) else 0.0


class RollingMedian:
    """The median of the latest ``window`` values: what a level with outliers is best guessed by.

    Warning: follows a change of level only after half a window.
    """

    def __init__(self, history: History, window: int) -> None:
        self._history, self._window = history, window
        self._median = 0.0

    def update(self, value: float) -> None:  # noqa: ARG002 - it is in the history
        """Find the median anew."""
        self._median = median_low(self._history.last(self._window))

    def predict(self, horizon: int) -> float:  # noqa: ARG002 - the same for every horizon
        """Return the median; 0 before the first value."""
        return self._median


class SeasonalMedian:
    """The median of the same moment in each of the latest ``cycles`` seasons; with one cycle, seasonal naive.

    Args:
        history: of the series.
        season: returns the length of a season in intervals; it may change as the series tells more.
        cycles: how many seasons are looked back at.
    """

    def __init__(self, history: History, season: Callable[[], int], cycles: int = 1) -> None:
        self._history, self._season, self._cycles = history, season, cycles

    def update(self, value: float) -> None:
        """Nothing to fit."""

    def predict(self, horizon: int) -> float:
        """Return the median of the moments a season apart; the last value while less than a season is known."""
        held = len(self._history)
        if not held:
            return 0.0
        season = self._season()
        first = -(-horizon // season) * season - horizon + 1
        moments = range(first, min(held, first + (self._cycles - 1) * season) + 1, season)
        found = [self._history.ago(moment) for moment in moments]
        return median_low(found) if found else self._history.ago(1)
