"""Who sizes the pool in a simulation: hive's policy, and what it is compared with.

The baselines follow what their owners document or do: Celery 5.7's ``Autoscaler`` (grows to what its worker has
reserved, shrinks to it only when nothing has come in and nothing grew for ``keepalive``), KEDA's Redis list scaler with
the horizontal pod autoscaler behind it (the list's length over a target for each slot, a tolerance of 10 %, the
greatest recommendation of the window when shrinking), and a fixed size.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hive.learning.arrivals import ArrivalForecaster
from hive.learning.ensemble import Forecast
from hive.learning.series import Series
from hive.scaling.estimate import LoadEstimator
from hive.scaling.policy import ScalingState, decide
from hive.scaling.rules import ScalingRules


class View(NamedTuple):
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

    @property
    def samples(self) -> int:
        """Service times that it is shown at a time at most; 0: it looks at none."""

    def decide(self, view: View) -> int:
        """Return how many slots there should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSize:
    """The same number of slots throughout."""

    slots: int
    every_s: float = 60.0
    samples: int = 0

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
    samples = 0

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
    samples = 0

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
    """hive's policy with its estimates, as a worker or a fleet drives it.

    Args:
        rules: of the pool.
        expected: what was forecast at the end of each interval, see :func:`outlooks`; empty: no forecast.
        step_s: length of an interval in seconds.
        start_delay_s: until an ordered slot is ready; the forecast looks that far ahead.
        every_s: seconds between two decisions.
    """

    #: Seconds between two decisions unless said otherwise.
    EVERY_S = 2.0
    samples = 50

    def __init__(
        self,
        rules: ScalingRules,
        expected: Sequence[Sequence[Forecast]] = (),
        step_s: float = 60.0,
        start_delay_s: float = 0.0,
        every_s: float = EVERY_S,
    ) -> None:
        self._rules, self._state = rules, ScalingState()
        forecaster = RecordedForecaster(expected) if expected else None
        self._estimator = LoadEstimator(forecaster, step_s, start_delay_s + every_s, began_s=0.0)
        self.every_s = every_s

    def decide(self, view: View) -> int:
        """Return the size that the policy decides."""
        seen = self._estimator.observe(
            now_s=view.now_s,
            arrived=view.arrived,
            ended_s=view.ended_s,
            slots=view.slots,
            busy=view.busy,
            backlog=view.backlog,
            oldest_wait_s=view.oldest_wait_s,
        )
        decision, self._state = decide(self._rules, self._state, seen)
        return decision.target


class RecordedForecaster:
    """Says again what a forecaster said, interval by interval.

    After the last recorded interval it says what was said then.

    Args:
        expected: for each interval the forecasts made at its end, for the next one, the one after that, and so on.
    """

    def __init__(self, expected: Sequence[Sequence[Forecast]]) -> None:
        self._expected, self._place = expected, -1

    def update(self, count: float) -> None:  # noqa: ARG002 - what it would say is known
        """Go to the next interval."""
        self._place = min(self._place + 1, len(self._expected) - 1)

    def forecast(self, horizon: int) -> Forecast:
        """Return what was said about ``horizon`` intervals ahead, or as far as was looked; zeros at first."""
        if self._place < 0:
            return Forecast(value=0.0, low=0.0, high=0.0)
        said = self._expected[self._place]
        return said[min(horizon, len(said)) - 1]


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
