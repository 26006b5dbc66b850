"""What arrives in a simulation: instants and service times, drawn from recorded counts with a seed."""

import csv
import random
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hive.errors import InputError
from hive.learning.series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTimes:
    """A distribution of service times, by some of its quantiles; straight between them.

    Attributes:
        shares: rising, from 0 to 1.
        times_s: the quantile of each share, in seconds.
    """

    shares: tuple[float, ...]
    times_s: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a <= b for a, b in zip(self.times_s, self.times_s[1:], strict=False))
        if not (self.shares and self.shares[0] == 0.0 and self.shares[-1] == 1.0 and rising and self.times_s[0] >= 0):
            raise ValueError("quantiles of service times rise from share 0 to share 1 and are not negative")

    @classmethod
    def fixed(cls, time_s: float) -> "ServiceTimes":
        """Return the distribution in which every task takes as long."""
        return cls(shares=(0.0, 1.0), times_s=(time_s, time_s))

    def draw(self, random_: random.Random) -> float:
        """Return one service time in seconds."""
        share = random_.random()
        place = bisect_right(self.shares, share)
        low, high = self.shares[place - 1], self.shares[place]
        below_s, above_s = self.times_s[place - 1], self.times_s[place]
        return below_s + (above_s - below_s) * (share - low) / (high - low)

    @property
    def mean_s(self) -> float:
        """Their mean in seconds."""
        pairs = zip(self.shares, self.shares[1:], self.times_s, self.times_s[1:], strict=False)
        return sum((high - low) * (below_s + above_s) / 2 for low, high, below_s, above_s in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Recorded counts, with the service times of their tasks.

    Attributes:
        series: arrivals in each interval.
        service: how long tasks take.
        seed: of the instants within an interval and of the service times; the same seed draws the same tasks.
    """

    series: Series
    service: ServiceTimes
    seed: int = 1

    @property
    def length_s(self) -> float:
        """Seconds that were recorded."""
        return len(self.series.values) * self.series.step_s

    @property
    def demand(self) -> float:
        """Busy slots on average."""
        return self.series.total * self.service.mean_s / self.length_s

    def drawn(self) -> "Tasks":
        """Draw the tasks. Instants are uniform within their interval: counts tell no more."""
        random_, step_s = random.Random(f"{self.seed} {self.series.name}"), self.series.step_s  # noqa: S311 - a seeded draw can be repeated
        arrivals_s, services_s = array("d"), array("d")
        for number, value in enumerate(self.series.values):
            shares = sorted(random_.random() for _ in range(round(value)))
            arrivals_s.extend((number + share) * step_s for share in shares)
            services_s.extend(self.service.draw(random_) for _ in shares)
        return Tasks(arrivals_s=arrivals_s, services_s=services_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """Single tasks, by rising arrival.

    Attributes:
        arrivals_s: when each arrives, in seconds.
        services_s: how long each takes, in seconds.
    """

    arrivals_s: "array[float]"
    services_s: "array[float]"


_PERCENTILE = "percentile_average_"


def read_service_times(lines: Iterable[str]) -> dict[str, ServiceTimes]:
    """Read quantiles of service times per application, in milliseconds, as the Azure Functions sets have them.

    Args:
        lines: CSV with a column ``HashFunction`` and columns ``percentile_Average_0`` to ``percentile_Average_100``.

    Raises:
        InputError: a column is missing, or a row is malformed.
    """
    found = {}
    for number, row in enumerate(csv.DictReader(lines), start=2):
        cells = {(name or "").lower(): cell for name, cell in row.items()}
        try:
            found[cells["hashfunction"]] = _service_times(cells)
        except (KeyError, ValueError, TypeError, IndexError) as exc:
            raise InputError(f"row {number} holds no quantiles of service times: {exc}") from exc
    return found


def _service_times(cells: Mapping[str, str]) -> ServiceTimes:
    names = sorted((name for name in cells if name.startswith(_PERCENTILE)), key=_percent)
    times_s = [float(cells[name]) / 1000 for name in names]
    return ServiceTimes(shares=tuple(_percent(name) / 100 for name in names), times_s=tuple(_risen(times_s)))


def _percent(name: str) -> float:
    return float(name.removeprefix(_PERCENTILE))


def _risen(times_s: Sequence[float]) -> Iterator[float]:
    most_s = 0.0
    for time_s in times_s:
        most_s = max(most_s, time_s)
        yield most_s
