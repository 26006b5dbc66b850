"""Observations made of counters."""

import pytest

from hive.learning import Forecast
from hive.scaling import LoadEstimator, Observation


class Notes:
    """A forecaster that keeps what it is fed and says the horizon back."""

    def __init__(self) -> None:
        self.fed: list[float] = []

    def update(self, count: float) -> None:
        self.fed.append(count)

    def forecast(self, horizon: int) -> Forecast:
        return Forecast(value=60.0 * horizon, low=0.0, high=120.0 * horizon)


def seen(estimator: LoadEstimator, now_s: float, arrived: int, ended_s: tuple[float, ...] = ()) -> Observation:
    return estimator.observe(now_s=now_s, arrived=arrived, ended_s=ended_s, slots=2, busy=1, backlog=0)


def test_intervals_are_fed_once_each_and_a_gap_is_shared() -> None:
    notes = Notes()
    estimator = LoadEstimator(notes, step_s=60.0)
    for now_s, arrived in ((1_000.0, 500), (1_030.0, 530), (1_060.0, 560), (1_061.0, 570), (1_120.0, 570)):
        seen(estimator, now_s, arrived)
    assert notes.fed == [60, 10], "the counter's value at the start is nobody's arrivals"
    seen(estimator, 1_310.0, 660)
    assert notes.fed == [60, 10, 30, 30, 30]


def test_the_late_rate_forgets_what_is_older_than_its_window() -> None:
    estimator = LoadEstimator(None)
    rates = [seen(estimator, float(now_s), min(now_s, 100) * 2).arrivals_per_s for now_s in range(0, 300, 5)]
    assert rates[0] == 0.0
    assert rates[1] == rates[12] == rates[20] == 2.0
    assert rates[40] == 0.0


def test_the_forecast_reaches_as_far_as_an_ordered_slot_needs() -> None:
    estimator = LoadEstimator(Notes(), step_s=60.0, lead_s=10.0, began_s=0.0)
    assert seen(estimator, 30.0, 0).forecast_per_s is None, "nothing is known before the first interval has ended"
    early, late = seen(estimator, 60.0, 0), seen(estimator, 112.0, 0)
    assert (early.forecast_per_s, early.forecast_high_per_s) == (1.0, 2.0)
    assert (late.forecast_per_s, late.forecast_high_per_s) == (2.0, 4.0), "a slot ordered now serves the next interval"


def test_service_times_are_unknown_until_a_task_has_ended() -> None:
    estimator = LoadEstimator(None)
    assert seen(estimator, 0.0, 0).service_s is None
    found = seen(estimator, 5.0, 3, (1.0,) * 90 + (9.0,) * 10)
    assert found.service_s == pytest.approx(1.8, rel=0.15)
    assert found.service_high_s == pytest.approx(9.0, rel=0.02)
