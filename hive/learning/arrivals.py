"""The forecaster of arrivals: which models there are, and how they are fed.

The members and the weighing were chosen on the first halves of real series, as ``benchmarks/forecast.py`` repeats.
"""

import math
from collections.abc import Iterable

from hive.learning.ensemble import Ensemble, Forecast, Weighing
from hive.learning.history import History
from hive.learning.naive import LastValue, Model, RollingMedian, SeasonalMedian
from hive.learning.season import SeasonFinder
from hive.learning.smoothing import ExponentialSmoothing, Smoothing

#: Shares of the simple smoothings, and of the Holt-Winters models.
LEVELS = (0.3, 0.6)
WINTERS = (Smoothing(level=0.1, trend=0.02, season=0.1), Smoothing(level=0.3, trend=0.02, season=0.2))
FOUND_WINTERS = (Smoothing(level=0.1, season=0.15), Smoothing(level=0.4, season=0.15))
#: Seasons that are looked back at, and windows of the medians, in intervals.
CYCLES = (1, 3, 7)
WINDOWS = (5, 15, 60)


class ArrivalForecaster:
    """Forecasts how many arrive in each of the coming intervals; one update for each interval, bounded memory.

    Args:
        seasons: lengths of seasons known beforehand, in intervals: those of a day and a week, or of an hour. Another
            season is found by itself up to ``longest_season``.
        horizons: intervals ahead for which errors are tracked.
        longest_season: the longest season that is searched for.
        weighing: how the ensemble weighs its members.

    Raises:
        ValueError: a season is shorter than two intervals.
    """

    def __init__(
        self,
        seasons: Iterable[int] = (60,),
        horizons: Iterable[int] = (1, 5, 30),
        longest_season: int = 300,
        weighing: Weighing | None = None,
    ) -> None:
        known = tuple(sorted(set(seasons)))
        if any(season < 2 for season in known):
            raise ValueError("a season has at least two intervals")
        self._history = History(max((*known, longest_season)) * (max(CYCLES) + 1) + max(WINDOWS))
        self._finder = SeasonFinder(self._history, longest_season, known)
        self._ensemble = Ensemble(_members(self._history, self._finder, known), horizons, weighing)

    @property
    def season(self) -> int:
        """The season found so far, in intervals."""
        return self._finder.season

    @property
    def horizons(self) -> tuple[int, ...]:
        """The tracked horizons, in intervals."""
        return self._ensemble.horizons

    def update(self, count: float) -> None:
        """Learn how many arrived in the interval that has just ended.

        Raises:
            ValueError: the count is not a finite number.
        """
        if not math.isfinite(count):
            raise ValueError(f"an arrival count is a finite number, not {count}")
        self._history.append(count)
        self._finder.update(count)
        self._ensemble.update(count)

    def forecast(self, horizon: int, coverage: float = 0.9) -> Forecast:
        """Return what to expect ``horizon`` intervals ahead (at least 1), never below 0; zeros before any update."""
        if horizon < 1:
            raise ValueError(f"a horizon is at least 1 interval, not {horizon}")
        found = self._ensemble.forecast(horizon, coverage)
        return Forecast(value=max(0.0, found.value), low=max(0.0, found.low), high=max(0.0, found.high))

    def members(self, horizon: int) -> dict[str, float]:
        """Return what each model alone says."""
        return self._ensemble.members(horizon)

    def weights(self, horizon: int) -> dict[str, float]:
        """Return how much each model counts at a horizon."""
        return self._ensemble.weights(horizon)


class FoundWinters:
    """Holt-Winters over the season that the finder names; begins anew from the history when that changes."""

    def __init__(self, history: History, finder: SeasonFinder, shares: Smoothing) -> None:
        self._history, self._finder, self._shares = history, finder, shares
        self._season = 0
        self._model = ExponentialSmoothing(shares)

    def update(self, value: float) -> None:
        """Learn a value, or the latest ten seasons of the history at once."""
        if self._finder.season == self._season:
            self._model.update(value)
            return
        self._season = self._finder.season
        self._model = ExponentialSmoothing(self._shares, self._season, self._history.last(10 * self._season))

    def predict(self, horizon: int) -> float:
        """Return the value to be expected ``horizon`` intervals ahead."""
        return self._model.predict(horizon)


def _members(history: History, finder: SeasonFinder, known: tuple[int, ...]) -> dict[str, Model]:
    models: dict[str, Model] = {"last value": LastValue(history)}
    models |= {f"median of {window}": RollingMedian(history, window) for window in WINDOWS}
    models |= {f"smoothing {level}": ExponentialSmoothing(Smoothing(level=level)) for level in LEVELS}
    models |= {
        f"found season, {cycles} cycles": SeasonalMedian(history, lambda: finder.season, cycles) for cycles in CYCLES
    }
    models |= {
        f"found season, winters {shares.level}": FoundWinters(history, finder, shares) for shares in FOUND_WINTERS
    }
    for season in known:
        models |= {
            f"season {season}, {cycles} cycles": SeasonalMedian(history, lambda fixed=season: fixed, cycles)  # type: ignore[misc]
            for cycles in CYCLES
        }
    if known:
        models |= {
            f"season {known[0]}, winters {shares.level}": ExponentialSmoothing(shares, known[0]) for shares in WINTERS
        }
    return models
