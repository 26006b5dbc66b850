"""Single models, the season finder, and what an ensemble makes of them."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.learning import ArrivalForecaster, Ensemble, Weighing
from hive.learning.history import History
from hive.learning.naive import LastValue, RollingMedian, SeasonalMedian
from hive.learning.season import SeasonFinder
from hive.learning.smoothing import ExponentialSmoothing, Smoothing

counts = st.lists(st.integers(0, 1_000), min_size=1, max_size=80)


def test_a_history_keeps_the_latest_and_no_more_than_twice_its_capacity() -> None:
    history = History(10)
    for value in range(1_000):
        history.append(value)
        assert history.ago(1) == value
        assert len(history) <= 20
    assert history.last(10) == list(range(990, 1_000))
    assert history.last(0) == []
    with pytest.raises(IndexError):
        history.ago(0)


@given(counts, st.integers(2, 12), st.integers(1, 3), st.integers(1, 30))
def test_a_seasonal_median_looks_at_the_same_moment_of_past_seasons(
    values: list[int], season: int, cycles: int, horizon: int
) -> None:
    model = SeasonalMedian(History(500, values), lambda: season, cycles)
    target = len(values) - 1 + horizon
    same = [values[place] for place in range(len(values) - 1, -1, -1) if (target - place) % season == 0][:cycles]
    # The moments asked for end with what is known: the newest of them comes first.
    expected = sorted(same)[(len(same) - 1) // 2] if same else values[-1]
    assert model.predict(horizon) == expected


def test_holt_winters_of_an_exact_season_and_trend_of_a_line_are_exact() -> None:
    profile = [5.0, 1.0, 9.0, 3.0]
    winters = ExponentialSmoothing(Smoothing(level=0.3, trend=0.1, season=0.2), 4, profile * 6)
    assert [winters.predict(horizon) for horizon in range(1, 9)] == pytest.approx(profile * 2)
    line = ExponentialSmoothing(Smoothing(level=0.8, trend=0.8, damping=0.99), values=[3.0 * x for x in range(200)])
    assert line.predict(1) == pytest.approx(600, rel=0.02)
    assert line.predict(1) < line.predict(5) < line.predict(30)
    assert ExponentialSmoothing(Smoothing(level=1.0), values=[4.0, 7.0]).predict(9) == 7.0


@pytest.mark.parametrize("season", [2, 7, 15, 60, 288])
def test_the_season_is_found_through_noise_and_not_its_multiple(season: int, rng: random.Random) -> None:
    profile = [rng.randrange(0, 200) for _ in range(season)]
    profile[0] = 500
    history = History(2_000)
    finder = SeasonFinder(history, 300)
    for number in range(6 * season + 500):
        value = profile[number % season] + rng.uniform(-3, 3)
        history.append(value)
        finder.update(value)
    assert finder.season == season


def test_a_smooth_series_has_the_season_of_its_wave_not_the_shortest_lag() -> None:
    history = History(2_000)
    finder = SeasonFinder(history, 300)
    for number in range(1_000):
        value = 100 + 50 * math.sin(2 * math.pi * number / 96)
        history.append(value)
        finder.update(value)
    assert finder.season == 96


def test_the_ensemble_follows_who_was_right_and_turns_when_that_changes() -> None:
    history = History(100)
    ensemble = Ensemble({"last": LastValue(history), "median": RollingMedian(history, 9)}, (1,), Weighing(memory=20))

    def feed(values: list[float]) -> None:
        for value in values:
            history.append(value)
            ensemble.update(value)

    feed([10.0, 10.0, 90.0, 10.0, 10.0] * 20)
    assert ensemble.weights(1)["median"] > 0.9
    feed([float(value) for value in range(0, 600, 10)])
    assert ensemble.weights(1)["last"] > 0.9
    assert ensemble.predict(1) == 590.0


@given(counts, st.sampled_from([1, 3, 5, 30, 50]))
def test_a_forecast_is_finite_not_negative_and_inside_its_interval(values: list[int], horizon: int) -> None:
    forecaster = ArrivalForecaster((12,), longest_season=20)
    assert forecaster.forecast(horizon).value == 0.0
    for value in values:
        forecaster.update(value)
    found = forecaster.forecast(horizon)
    assert 0.0 <= found.low <= found.value <= found.high < math.inf
    assert sum(forecaster.weights(horizon).values()) == pytest.approx(1.0)


def test_a_timer_is_foreseen_exactly_and_noise_is_held_by_the_interval(rng: random.Random) -> None:
    timer, noisy, within = ArrivalForecaster(), ArrivalForecaster(), 0
    for number in range(600):
        timer.update(14.0 if number % 15 == 0 else 0.0)
        within += noisy.forecast(1).low <= (value := float(rng.randrange(80, 120))) <= noisy.forecast(1).high
        noisy.update(value)
    said = [timer.forecast(horizon).value for horizon in range(1, 31)]
    assert said == [14.0 if (599 + horizon) % 15 == 0 else 0.0 for horizon in range(1, 31)]
    assert timer.season == 15
    assert 0.8 < within / 600 < 0.99


def test_memory_stays_bounded_over_a_long_series() -> None:
    forecaster = ArrivalForecaster((10,), horizons=(1, 3), longest_season=12)
    for number in range(5_000):
        forecaster.update(float(number % 10))
    assert len(forecaster._history) <= 2 * forecaster._history.capacity
    with pytest.raises(ValueError, match="finite"):
        forecaster.update(math.nan)
    with pytest.raises(ValueError, match="two intervals"):
        ArrivalForecaster((1,))
