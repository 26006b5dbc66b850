"""Who sizes the pool in a simulation: hive's policy, and what it is compared with.

The baselines follow what their owners document or do: Celery 5.7's ``Autoscaler`` (grows to what its worker has
reserved, shrinks to it only when nothing has come in and nothing grew for ``keepalive``), KEDA's Redis list scaler with
the horizontal pod autoscaler behind it (the list's length over a target for each slot, a tolerance of 10 %, the
greatest recommendation of the window when shrinking), and a fixed size.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hive.learning.arrivals import ArrivalForecaster
from hive.learning.ensemble import Forecast
from hive.learning.quantiles import QuantileSketch
from hive.learning.series import Series
from hive.scaling.observation import Decision, Observation
from hive.scaling.policy import ScalingState, decide
from hive.scaling.rules import ScalingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a scaler is shown of a pool.

    Attributes:
        now_s: simulated time.
        slots: that serve or start.
        busy: slots that run a task.
        backlog: tasks that wait.
        oldest_wait_s: age of the first of them.
        arrived: tasks since the beginning.
        ended_s: service times of tasks that have ended since the last view; a sample.
    """

    now_s: float
    slots: int
    busy: int
    backlog: int
    oldest_wait_s: float
    arrived: int
    ended_s: Sequence[float]


class Scaler(Protocol):
    """Decides the size of a pool; one object for one run."""

    @property
    def every_s(self) -> float:
        """Seconds between two decisions."""

    def decide(self, view: View) -> int:
        """Return how many slots there should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSize:
    """The same number of slots throughout."""

    slots: int
    every_s: float = 60.0

    def decide(self, view: View) -> int:  # noqa: ARG002 - whatever happens
        """Return the number."""
        return self.slots


class CeleryAutoscaler:
    """Celery 5.7's own: what its worker has reserved, which is at most the prefetch count.

    Args:
        minimum: of ``--autoscale``.
        maximum: of ``--autoscale``.
        keepalive_s: ``AUTOSCALE_KEEPALIVE``.
        prefetch_multiplier: messages held for each of ``maximum`` slots.
    """

    every_s = 1.0

    def __init__(self, minimum: int, maximum: int, keepalive_s: float = 30.0, prefetch_multiplier: int = 4) -> None:
        self._minimum, self._maximum, self._keepalive_s = minimum, maximum, keepalive_s
        self._reservable = max(1, maximum) * prefetch_multiplier
        self._active_s = -math.inf
        self._arrived = 0

    def decide(self, view: View) -> int:
        """Return the size after one look."""
        if view.arrived > self._arrived:
            self._arrived, self._active_s = view.arrived, view.now_s
        reserved = min(view.busy + view.backlog, self._reservable)
        if min(reserved, self._maximum) > view.slots:
            self._active_s = view.now_s
            return min(reserved, self._maximum)
        wanted = max(reserved, self._minimum)
        if wanted < view.slots and view.now_s - self._active_s > self._keepalive_s:
            return wanted
        return view.slots


class ListLength:
    """KEDA's: the length of the list over a target for each slot.

    Args:
        minimum: fewest slots.
        maximum: most slots.
        target: messages for each slot.
        every_s: polling interval.
        window_s: within which the greatest recommendation holds when shrinking.
        counts_running: whether tasks that run are on the list too; of Celery's they are not.
    """

    TOLERANCE = 0.1

    def __init__(
        self,
        minimum: int,
        maximum: int,
        target: float = 5.0,
        every_s: float = 15.0,
        window_s: float = 300.0,
        *,
        counts_running: bool = False,
    ) -> None:
        self._minimum, self._maximum, self._target = minimum, maximum, target
        self._counts_running, self._window_s = counts_running, window_s
        self._wanted: deque[tuple[float, int]] = deque()
        self.every_s = every_s

    def decide(self, view: View) -> int:
        """Return the size after one poll."""
        length = view.backlog + (view.busy if self._counts_running else 0)
        each = length / view.slots if view.slots else math.inf
        wanted = math.ceil(length / self._target)
        if abs(each / self._target - 1.0) <= self.TOLERANCE:
            wanted = view.slots
        wanted = min(max(wanted, self._minimum), self._maximum)
        while self._wanted and self._wanted[0][0] < view.now_s - self._window_s:
            self._wanted.popleft()
        self._wanted.append((view.now_s, wanted))
        if wanted >= view.slots:
            return wanted
        return min(view.slots, max(slots for _, slots in self._wanted))


class HiveScaler:
    """hive's policy with its forecast, as a worker or a fleet drives it.

    Args:
        rules: of the pool.
        outlooks: what was forecast at the end of each interval, see :func:`outlooks`; empty: no forecast.
        step_s: length of an interval in seconds.
        start_delay_s: until an ordered slot is ready; the forecast looks that far ahead.
        every_s: seconds between two decisions.
    """

    #: Seconds between two decisions unless said otherwise.
    EVERY_S = 5.0
    #: Seconds over which the late rate is taken.
    RATE_WINDOW_S = 60.0

    def __init__(
        self,
        rules: ScalingRules,
        outlooks: Sequence[Sequence[Forecast]] = (),
        step_s: float = 60.0,
        start_delay_s: float = 0.0,
        every_s: float = EVERY_S,
    ) -> None:
        self._rules, self._outlooks = rules, outlooks
        self._step_s, self._lead_s = step_s, start_delay_s + every_s
        self._state = ScalingState()
        self._service = QuantileSketch(memory=500)
        self._arrivals: deque[tuple[float, int]] = deque([(0.0, 0)])
        self.every_s = every_s
        self.latest: Decision | None = None

    def decide(self, view: View) -> int:
        """Return the size that the policy decides."""
        self._service.add_all(view.ended_s)
        seen = Observation(
            now_s=view.now_s,
            slots=view.slots,
            busy=view.busy,
            backlog=view.backlog,
            oldest_wait_s=view.oldest_wait_s,
            arrivals_per_s=self._rate(view),
            service_s=self._service.mean_s if self._service.count else None,
            service_high_s=self._service.quantile_s(0.95) if self._service.count else None,
        )
        expected = self._expected(view.now_s)
        if expected is not None:
            low, high = expected
            seen = replace(seen, forecast_per_s=low, forecast_high_per_s=high)
        self.latest, self._state = decide(self._rules, self._state, seen)
        return self.latest.target

    def _rate(self, view: View) -> float:
        self._arrivals.append((view.now_s, view.arrived))
        while len(self._arrivals) > 2 and self._arrivals[1][0] <= view.now_s - self.RATE_WINDOW_S:
            self._arrivals.popleft()
        since_s, before = self._arrivals[0]
        return (view.arrived - before) / (view.now_s - since_s) if view.now_s > since_s else 0.0

    def _expected(self, now_s: float) -> tuple[float, float] | None:
        """Return rate and upper bound of the busiest interval between now and when a slot ordered now is ready."""
        interval = int(now_s / self._step_s + 1e-9)
        if not 1 <= interval <= len(self._outlooks):
            return None
        ahead = self._outlooks[interval - 1]
        last = int((now_s + self._lead_s) / self._step_s) - interval
        coming = ahead[: min(last + 1, len(ahead))]
        return max(one.value for one in coming) / self._step_s, max(one.high for one in coming) / self._step_s


def outlooks(series: Series, ahead: int = 2) -> list[tuple[Forecast, ...]]:
    """Return what is forecast after each interval of a series for the ``ahead`` next ones.

    It does not depend on the size of any pool, so that one pass serves many runs.
    """
    horizons = tuple(sorted({1, ahead}))
    forecaster = ArrivalForecaster(series.seasons, horizons)
    found = []
    for value in series.values:
        forecaster.update(value)
        found.append(tuple(forecaster.forecast(horizon) for horizon in range(1, ahead + 1)))
    return found
