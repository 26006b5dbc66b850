"""How well forecasts would have done: each step of a series forecast from what came before it alone.

The first eighth of a series only teaches. On the rest of the first half a model is chosen for each horizon; on the
second half it is judged against the better of the two naive forecasts, better meaning with hindsight, on that half.
Errors are mean absolute ones; a series' quotient of model and naive error is that of their MASEs (Hyndman and
Koehler, "Another look at measures of forecast accuracy", International Journal of Forecasting 22, 2006), because both
are divided by the same scale: the mean absolute step of the first half.

Errors under a thousandth of the judged half's mean value count as that thousandth, for model and naive alike: a
series that repeats exactly would else divide by zero.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hive.learning.arrivals import ArrivalForecaster
from hive.learning.ensemble import Forecast
from hive.learning.history import History
from hive.learning.naive import SeasonalMedian
from hive.learning.series import Series

HORIZONS = (1, 5, 30)
#: Share of the mean value under which errors are not told apart.
FLOOR = 1e-3
#: By which a value may lie outside an interval and count as within, for what floating point leaves over.
SLACK = 1e-9
ENSEMBLE = "ensemble"
LAST_VALUE, SEASONAL_NAIVE = "last value", "seasonal naive"


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonScore:
    """How forecasts of one series did at one horizon, on its second half.

    Attributes:
        horizon: intervals ahead.
        chosen: name of the model with the least error on the first half.
        mase: scaled error by model on the second half; also those of the two naive forecasts and the ensemble.
        coverage: share of values within the ensemble's 90 % interval.
        ratio: error of the chosen model over that of the better naive one; below 1 is better.
        ensemble_ratio: the same of the ensemble, whatever was chosen.
    """

    horizon: int
    chosen: str
    mase: dict[str, float]
    coverage: float
    ratio: float
    ensemble_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """How forecasts of one series did.

    Attributes:
        name: of the series.
        intervals: its length.
        season: of the seasonal naive forecast, in intervals.
        found_season: the season found by the forecaster at the end.
        scores: one for each horizon.
        forecasts: what the ensemble said of every interval of the second half, the first horizon ahead.
        outlook: what it says of the intervals after the last one, up to the longest horizon.
    """

    name: str
    intervals: int
    season: int
    found_season: int
    scores: tuple[HorizonScore, ...]
    forecasts: tuple[Forecast, ...]
    outlook: tuple[Forecast, ...]


def backtest(series: Series, horizons: Sequence[int] = HORIZONS, naive_season: int | None = None) -> Backtest:
    """Forecast every step of a series from its past.

    Args:
        series: at least four times as long as the longest horizon.
        horizons: intervals ahead.
        naive_season: of the seasonal naive forecast, in intervals; unset: the first of ``series.seasons``.

    Raises:
        ValueError: the series is too short.
    """
    if len(series.values) < 4 * max(horizons):
        raise ValueError(f"{series.name} has {len(series.values)} values; {4 * max(horizons)} are needed")
    season = naive_season or series.seasons[0]
    forecaster = ArrivalForecaster(series.seasons, horizons)
    history = History(season + max(horizons))
    naive = SeasonalMedian(history, lambda: season)
    tallies = {horizon: _Tally(series.values, horizon) for horizon in horizons}
    for now, value in enumerate(series.values):
        forecaster.update(value)
        history.append(value)
        for horizon, tally in tallies.items():
            forecast = forecaster.forecast(horizon)
            said = forecaster.members(horizon) | {ENSEMBLE: forecast.value, SEASONAL_NAIVE: naive.predict(horizon)}
            tally.add(now + horizon, said, forecast)
    return Backtest(
        name=series.name,
        intervals=len(series.values),
        season=season,
        found_season=forecaster.season,
        scores=tuple(tally.score() for tally in tallies.values()),
        forecasts=tuple(tallies[horizons[0]].judged),
        outlook=tuple(forecaster.forecast(ahead) for ahead in range(1, max(horizons) + 1)),
    )


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean of positive numbers; 1 of none."""
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs)) if logs else 1.0


class _Tally:
    """Errors of all models at one horizon, summed over each half."""

    def __init__(self, values: Sequence[float], horizon: int) -> None:
        self.judged: list[Forecast] = []
        self._values, self._horizon = values, horizon
        self._middle, self._first = len(values) // 2, len(values) // 8
        self._chosen_on: dict[str, float] = {}
        self._judged_on: dict[str, float] = {}
        self._within = 0

    def add(self, target: int, said: dict[str, float], forecast: Forecast) -> None:
        if not self._first <= target < len(self._values):
            return
        value = self._values[target]
        errors = self._chosen_on if target < self._middle else self._judged_on
        for name, one in said.items():
            errors[name] = errors.get(name, 0.0) + abs(one - value)
        if target >= self._middle:
            self._within += forecast.low - SLACK <= value <= forecast.high + SLACK
            self.judged.append(forecast)

    def score(self) -> HorizonScore:
        judged = self._values[self._middle :]
        scale = _step(self._values[: self._middle]) or 1.0
        floor = FLOOR * sum(map(abs, judged)) / len(judged) or FLOOR
        error = {name: total / len(judged) for name, total in self._judged_on.items()}
        least = min(self._chosen_on.values())
        # What is as good as the ensemble on the first half gives way to it: it can still change its mind.
        chosen = (
            ENSEMBLE if self._chosen_on[ENSEMBLE] <= least else min(self._chosen_on, key=self._chosen_on.__getitem__)
        )
        naive = max(floor, min(error[LAST_VALUE], error[SEASONAL_NAIVE]))
        return HorizonScore(
            horizon=self._horizon,
            chosen=chosen,
            mase={name: one / scale for name, one in error.items()},
            coverage=self._within / len(judged),
            ratio=max(floor, error[chosen]) / naive,
            ensemble_ratio=max(floor, error[ENSEMBLE]) / naive,
        )


def _step(values: Sequence[float]) -> float:
    steps = [abs(after - before) for before, after in pairwise(values)]
    return sum(steps) / len(steps) if steps else 0.0
