"""From counters to an observation: the arrival rate of late and to come, and service times. Pure and online.

Live scalers and the simulator share this, so that what is tuned there is what runs here.
"""

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from hive.learning.ensemble import Forecast
from hive.learning.quantiles import QuantileSketch
from hive.scaling.observation import Observation


class Forecaster(Protocol):
    """What foresees arrivals; :class:`hive.learning.ArrivalForecaster` does."""

    def update(self, count: float) -> None:
        """Learn how many arrived in the interval that has just ended."""

    def forecast(self, horizon: int) -> Forecast:
        """Return what to expect ``horizon`` intervals ahead."""


class LoadEstimator:
    """Keeps what a pool's counters tell over time.

    Args:
        forecaster: of the pool's arrivals, fed here; None: no forecast.
        step_s: length of its intervals in seconds.
        lead_s: from a decision until its slots serve, with the time to the next decision; forecast that far.
        began_s: monotonic time at which the first interval begins; unset: when the first observation is made.
    """

    #: Seconds over which the late rate is taken.
    RATE_WINDOW_S = 60.0
    #: Service times after which one counts about a third.
    SERVICE_MEMORY = 500

    def __init__(
        self, forecaster: Forecaster | None, step_s: float = 60.0, lead_s: float = 10.0, began_s: float | None = None
    ) -> None:
        self._forecaster, self._step_s, self._lead_s = forecaster, step_s, lead_s
        self._service = QuantileSketch(memory=self.SERVICE_MEMORY)
        self._service_s: float | None = None
        self._service_high_s: float | None = None
        self._arrivals: deque[tuple[float, int]] = deque()
        self._interval_s = began_s
        self._counted = self._closed = 0
        #: Of which intervals there is a forecast, (intervals closed, how many ahead), and what it says.
        self._foreseen: tuple[tuple[int, int], tuple[float, float]] | None = None
        if began_s is not None:
            self._arrivals.append((began_s, 0))

    def observe(
        self,
        *,
        now_s: float,
        arrived: int,
        ended_s: Iterable[float],
        slots: int,
        busy: int,
        backlog: int,
        oldest_wait_s: float = 0.0,
        room: int | None = None,
    ) -> Observation:
        """Take counters in and return what the policy is to see.

        Args:
            now_s: monotonic time in seconds; never goes back.
            arrived: messages published to the pool's queues so far; a counter that only grows.
            ended_s: service times in seconds of tasks that have ended since the last call; a sample will do.
            slots: see :class:`~hive.scaling.observation.Observation`, as for all that follow.
            busy: slots that run a task.
            backlog: ready messages.
            oldest_wait_s: age of the oldest of them.
            room: slots that resources leave.
        """
        self._learn(ended_s)
        rate_per_s = self._rate(now_s, arrived)
        self._close(now_s, arrived)
        expected = self._expected(now_s)
        return Observation(
            now_s=now_s,
            slots=slots,
            busy=busy,
            backlog=backlog,
            oldest_wait_s=oldest_wait_s,
            arrivals_per_s=rate_per_s,
            forecast_per_s=expected[0] if expected else None,
            forecast_high_per_s=expected[1] if expected else None,
            service_s=self._service_s,
            service_high_s=self._service_high_s,
            room=room,
        )

    def _learn(self, ended_s: Iterable[float]) -> None:
        ended = list(ended_s)
        if ended:
            self._service.add_all(ended)
            self._service_s, self._service_high_s = self._service.mean_s, self._service.quantile_s(0.95)

    def _rate(self, now_s: float, arrived: int) -> float:
        self._arrivals.append((now_s, arrived))
        while len(self._arrivals) > 2 and self._arrivals[1][0] <= now_s - self.RATE_WINDOW_S:
            self._arrivals.popleft()
        since_s, before = self._arrivals[0]
        return (arrived - before) / (now_s - since_s) if now_s > since_s else 0.0

    def _close(self, now_s: float, arrived: int) -> None:
        """Feed the intervals that have ended; what came over several of them unseen is shared between them."""
        if self._interval_s is None:
            self._interval_s, self._counted = now_s, arrived
        passed = int((now_s - self._interval_s) / self._step_s + 1e-9)
        if not passed:
            return
        if self._forecaster is not None:
            for _ in range(passed):
                self._forecaster.update((arrived - self._counted) / passed)
        self._interval_s += passed * self._step_s
        self._closed += passed
        self._counted = arrived

    def _expected(self, now_s: float) -> tuple[float, float] | None:
        """Return rate and upper bound of the busiest interval between now and when a slot ordered now serves."""
        if self._forecaster is None or self._interval_s is None or not self._closed:
            return None
        last = int((now_s + self._lead_s - self._interval_s) / self._step_s) + 1
        if self._foreseen is None or self._foreseen[0] != (self._closed, last):
            coming = [self._forecaster.forecast(horizon) for horizon in range(1, last + 1)]
            most, high = max(one.value for one in coming), max(one.high for one in coming)
            self._foreseen = (self._closed, last), (most / self._step_s, high / self._step_s)
        return self._foreseen[1]
