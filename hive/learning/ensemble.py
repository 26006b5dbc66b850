"""Several models weighted by how well each has done lately.

For every tracked horizon each model's absolute error is kept, old errors forgotten exponentially; a model's weight
is the power of the least error over its own, and the forecast is the weighted median of what the models say. The
median keeps one runaway model from moving the whole, and a model that is exact is followed exactly. Source of the idea:
Bates and Granger, "The combination of forecasts", Operational Research Quarterly 20 (1969), who weigh by the inverse
of recent error. Intervals are quantiles of the ensemble's own late errors at that horizon, which assumes no
distribution: the rolling form of split conformal prediction (Lei et al., JASA 113, 2018).

Warning: the intervals hold on average over time; just after a change of the series they are too narrow.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hive.learning.naive import Model

#: Keeps the quotient of two errors defined where both are 0.
TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is expected of one interval.

    Attributes:
        value: the expected value.
        low: the value is below it in half of the cases that the coverage leaves out.
        high: the value is above it in the other half.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """How an ensemble turns errors into weights.

    Attributes:
        power: of the quotient of errors; 0 weighs all alike, a great one follows the best alone.
        memory: number of intervals after which an error counts about a third.
        residuals: how many late errors the intervals are made of, per horizon.
    """

    power: float = 8.0
    memory: int = 100
    residuals: int = 300


class Ensemble:
    """The weighted median of several models, with intervals.

    Args:
        models: by name; fed by the ensemble.
        horizons: how many intervals ahead errors are tracked; another horizon borrows the nearest one's weights.
        weighing: how errors become weights.
    """

    def __init__(
        self, models: Mapping[str, Model], horizons: Iterable[int] = (1, 5, 30), weighing: Weighing | None = None
    ) -> None:
        self._models = dict(models)
        self._weighing = weighing or Weighing()
        self._tracks = {horizon: _Track(len(self._models), horizon, self._weighing) for horizon in horizons}
        if not self._models or not self._tracks:
            raise ValueError("an ensemble needs a model and a horizon")

    @property
    def horizons(self) -> tuple[int, ...]:
        """The tracked horizons."""
        return tuple(self._tracks)

    def update(self, value: float) -> None:
        """Judge what was said about the interval that has just ended, and let every model learn from it."""
        for track in self._tracks.values():
            track.judge(value)
        for model in self._models.values():
            model.update(value)
        for horizon, track in self._tracks.items():
            track.note([model.predict(horizon) for model in self._models.values()])

    def predict(self, horizon: int) -> float:
        """Return the value to be expected ``horizon`` intervals after the latest one."""
        track = self._track(horizon)
        if horizon == track.horizon and track.latest is not None:
            return track.latest
        return track.combined([model.predict(horizon) for model in self._models.values()])

    def forecast(self, horizon: int, coverage: float = 0.9) -> Forecast:
        """Return what is expected, with the interval that holds the value in ``coverage`` of cases (0..1)."""
        value = self.predict(horizon)
        low, high = self._track(horizon).spread(coverage)
        return Forecast(value=value, low=value + low, high=value + high)

    def members(self, horizon: int) -> dict[str, float]:
        """Return what each model says about ``horizon`` intervals ahead."""
        return {name: model.predict(horizon) for name, model in self._models.items()}

    def weights(self, horizon: int) -> dict[str, float]:
        """Return the weight of each model at a horizon; they sum to 1."""
        weights = self._track(horizon).weights()
        return {name: weight / sum(weights) for name, weight in zip(self._models, weights, strict=True)}

    def _track(self, horizon: int) -> "_Track":
        return self._tracks.get(horizon) or self._tracks[min(self._tracks, key=lambda one: abs(one - horizon))]


class _Track:
    """What was said about one horizon, and how wrong it was."""

    def __init__(self, count: int, horizon: int, weighing: Weighing) -> None:
        self.horizon = horizon
        self.latest: float | None = None
        self._weighing = weighing
        self._kept = 1.0 - 1.0 / weighing.memory
        self._errors = [0.0] * count
        self._said: deque[tuple[list[float], float]] = deque(maxlen=horizon)
        self._residuals: deque[float] = deque(maxlen=weighing.residuals)

    def judge(self, value: float) -> None:
        if len(self._said) < self.horizon:
            return
        said, combined = self._said.popleft()
        self._errors = [error * self._kept + abs(one - value) for error, one in zip(self._errors, said, strict=True)]
        self._residuals.append(value - combined)

    def note(self, said: list[float]) -> None:
        self.latest = self.combined(said)
        self._said.append((said, self.latest))

    def weights(self) -> list[float]:
        least = min(self._errors) + TINY
        return [(least / (error + TINY)) ** self._weighing.power for error in self._errors]

    def combined(self, said: list[float]) -> float:
        ranked = sorted(zip(said, self.weights(), strict=True))
        left = sum(weight for _, weight in ranked) / 2
        for value, weight in ranked:
            left -= weight
            if left <= 0:
                return value
        return ranked[-1][0]

    def spread(self, coverage: float) -> tuple[float, float]:
        if not 0.0 <= coverage <= 1.0:
            raise ValueError(f"coverage is a share within 0..1, not {coverage}")
        if not self._residuals:
            return 0.0, 0.0
        ranked = sorted(self._residuals)
        outside = int(len(ranked) * (1.0 - coverage) / 2)
        return min(0.0, ranked[outside]), max(0.0, ranked[-1 - outside])
