"""Exponential smoothing: a level, a damped trend, a season.

Sources: Holt (1957) and Winters (1960) in the additive form; the damped trend of Gardner and McKenzie, "Forecasting
trends in time series", Management Science 31 (1985); written as in Hyndman and Athanasopoulos, "Forecasting:
Principles and Practice", 3rd edition, chapter 8.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """How fast the parts of a smoothed series follow it, each within 0..1.

    Attributes:
        level: share of a new value in the level; 1 is the last value.
        trend: share of a new step in the trend; 0 keeps the series without one.
        season: share of a new deviation in the season's profile.
        damping: share of the trend that is left after each interval ahead; below 1, so that no forecast runs away.
    """

    level: float
    trend: float = 0.0
    season: float = 0.0
    damping: float = 0.9

    def __post_init__(self) -> None:
        for name in ("level", "trend", "season"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a share within 0..1, not {getattr(self, name)}")
        if not 0.0 <= self.damping < 1.0:
            raise ValueError(f"damping is at least 0 and below 1, not {self.damping}")


class ExponentialSmoothing:
    """Level and damped trend; with a season, Holt-Winters.

    Args:
        shares: how fast the parts follow.
        season: length of the profile in intervals; 1 has none.
        values: of the past, oldest first; the profile starts from their first season.
    """

    def __init__(self, shares: Smoothing, season: int = 1, values: Iterable[float] = ()) -> None:
        self._shares, self._season = shares, max(1, season)
        self._profile: list[float] = []
        self._place = 0
        self._level = self._trend = 0.0
        self._seen = 0
        for value in values:
            self.update(value)

    def update(self, value: float) -> None:
        """Move level, trend and profile towards a new value; the first season only fills the profile."""
        self._seen += 1
        if self._season > 1 and self._seen <= self._season:
            self._profile.append(value)
            self._level = sum(self._profile) / len(self._profile)
            if self._seen == self._season:
                self._profile = [one - self._level for one in self._profile]
            return
        shares = self._shares
        seasonal = self._profile[self._place] if self._profile else 0.0
        expected = self._level + shares.damping * self._trend
        before = self._level
        self._level = value - seasonal if self._seen == 1 else expected + shares.level * (value - seasonal - expected)
        moved = 0.0 if self._seen == 1 else self._level - before
        self._trend = shares.damping * self._trend + shares.trend * (moved - shares.damping * self._trend)
        if self._profile:
            self._profile[self._place] = seasonal + shares.season * (value - self._level - seasonal)
            self._place = (self._place + 1) % self._season

    def predict(self, horizon: int) -> float:
        """Return level, damped trend and season ``horizon`` intervals ahead; the mean while the profile fills."""
        damping = self._shares.damping
        ahead = self._trend * damping * (1.0 - damping**horizon) / (1.0 - damping)
        if self._season == 1 or self._seen < self._season:
            return self._level + ahead
        return self._level + ahead + self._profile[(self._place + horizon - 1) % self._season]
