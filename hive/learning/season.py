"""How long a season of a series is, found while it goes on.

For each lag the mean absolute difference between a value and the one that long ago is kept, old differences
forgotten exponentially; the season is the lag where it is least. Source: the average magnitude difference function of
Ross et al., "Average magnitude difference function pitch extractor", IEEE Transactions on Acoustics, Speech and
Signal Processing 22 (1974). The difference is absolute, as the error that forecasts are judged by.

Warning: of a series without a season it still finds the least bad lag. Who forecasts with it weighs it by its error.
"""

import math
from collections.abc import Iterable

from hive.learning.history import History


class SeasonFinder:
    """The lag after which a series repeats itself best.

    Args:
        history: of the series, fed before each update.
        longest: the longest lag that is looked at, in intervals; each update costs as many steps.
        known: lags above that to look at too, such as the intervals of a day or a week.
        memory: number of intervals after which a difference counts about a third.
    """

    #: Standard errors by which a longer lag must be better than a shorter one, lest luck choose a multiple of a season.
    CAUTION = 3.0
    #: Part of the greatest difference under which two are not told apart.
    GRAIN = 1e-6

    def __init__(self, history: History, longest: int, known: Iterable[int] = (), memory: int = 500) -> None:
        self._history = history
        self._longest = longest
        self._lags = [*range(1, longest + 1), *sorted({lag for lag in known if lag > longest})]
        self._errors = [0.0] * len(self._lags)
        self._weights = [0.0] * len(self._lags)
        self._kept = 1.0 - 1.0 / memory
        self._season = 2
        self._updates = 0

    @property
    def season(self) -> int:
        """The best lag so far; 2 before anything is known."""
        return self._season

    def update(self, value: float) -> None:
        """Compare the newest value, which is already in the history, with those before it."""
        held, kept = len(self._history), self._kept
        past = self._history.last(held)
        reach = sum(1 for lag in self._lags if lag < held)
        errors, weights = self._errors, self._weights
        for index in range(reach):
            errors[index] = errors[index] * kept + abs(value - past[-1 - self._lags[index]])
            weights[index] = weights[index] * kept + 1.0
        self._updates += 1
        if self._updates % 10 == 0:
            self._choose(reach)

    def _choose(self, reach: int) -> None:
        """Take the least of the dips: of a smooth series the shortest lags differ least, and are no season."""
        means = [
            self._errors[index] / self._weights[index] if self._is_believed(index) else float("inf")
            for index in range(reach)
        ]
        grain = self.GRAIN * max((mean for mean in means if mean < float("inf")), default=0.0)
        best, season = 2.0 * grain / self.GRAIN, self._season
        for index, mean in enumerate(means):
            if self._is_dip(means, index) and mean < best * (1.0 - self._doubt(index)) - grain:
                best, season = mean, self._lags[index]
        self._season = season

    def _doubt(self, index: int) -> float:
        return min(1.0, self.CAUTION / math.sqrt(self._weights[index])) if self._weights[index] else 1.0

    def _is_believed(self, index: int) -> bool:
        """Whether a lag has been compared often enough: over two seasons, or 50 intervals of a long one."""
        return self._weights[index] >= min(2 * self._lags[index], 50)

    def _is_dip(self, means: list[float], index: int) -> bool:
        """Whether a lag is better than both its neighbours; one that is known to be a season always is."""
        if self._lags[index] > self._longest:
            return True
        last = index + 1 >= min(len(means), self._longest)
        return index > 0 and means[index] < means[index - 1] and (last or means[index] <= means[index + 1])
