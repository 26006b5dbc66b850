"""Reading recorded counts, and judging forecasts of them."""

import random

import pytest

from hive.errors import InputError
from hive.learning import Series, backtest, busiest, read_series
from hive.learning.backtest import ENSEMBLE, LAST_VALUE, SEASONAL_NAIVE


def test_timed_values_tell_their_step_even_with_gaps_and_duplicates() -> None:
    lines = ["timestamp,value", *(f"2026-01-01 00:{minute:02}:00,{minute}" for minute in (0, 5, 5, 10, 25, 30, 35))]
    (series,) = read_series(lines, "elb")
    assert (series.name, series.step_s, series.values) == ("elb", 300.0, (0, 5, 5, 10, 25, 30, 35))


@pytest.mark.parametrize(
    "heading",
    ["HashFunction,HashApp,HashOwner,minute_1,minute_2,minute_3", "HashOwner,HashApp,HashFunction,Trigger,480,481,482"],
)
def test_a_row_of_minutes_for_each_application(heading: str) -> None:
    width = len(heading.split(",")) - 3
    rows = [
        ",".join([*["a", "a", "a", "http"][:width], "1", "", "3"]),
        ",".join([*["b", "b", "b", "http"][:width], "9", "9", "9"]),
    ]
    found = read_series([heading, *rows], "azure")
    assert [(one.name, one.values) for one in found] == [("a", (1, 0, 3)), ("b", (9, 9, 9))]
    assert [one.name for one in busiest(found, 1)] == ["b"]


def test_plain_numbers_with_or_without_a_heading() -> None:
    assert read_series(["count", "1", "2"], "x", 10.0)[0] == Series(name="x", values=(1, 2), step_s=10.0)
    assert read_series(["3", "", "4"], "x")[0].values == (3, 4)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "x is empty"),
        (["count"], "holds no numbers"),
        (["1", "two"], "row 2 of x ends in no number: 'two'"),
        (["app,end,duration", "a,1,0.5"], "x has 3 columns"),
        (["1", "nan"], "row 2"),
        (["timestamp,value", "yesterday,1"], "row 2 of x is no timestamp"),
        (["HashApp,minute_1,minute_2", "a,1"], "row 2 is no row of counts"),
    ],
)
def test_what_cannot_be_read_is_named(lines: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_series(lines, "x")


def test_the_calendar_names_the_seasons_that_fit_twice() -> None:
    def series(count: int, step_s: float) -> Series:
        return Series(name="x", values=(1.0,) * count, step_s=step_s)

    assert series(15_000, 300.0).seasons == (288, 2_016)
    assert series(1_000, 300.0).seasons == (288,)
    assert series(1_440, 60.0).seasons == (60,)


def test_a_back_test_tells_what_can_be_forecast_from_what_cannot(rng: random.Random) -> None:
    timer = Series(name="timer", values=tuple(20.0 * (number % 7 == 0) for number in range(400)), step_s=60.0)
    found = backtest(timer, (1, 5), naive_season=60)
    assert found.found_season == 7
    for score in found.scores:
        assert score.mase[ENSEMBLE] == 0.0
        assert score.ensemble_ratio < 0.01
        assert min(score.mase[LAST_VALUE], score.mase[SEASONAL_NAIVE]) > 0.1
    walk, values = 1_000.0, []
    for _ in range(400):
        walk += rng.choice((-1.0, 1.0))
        values.append(walk)
    (score,) = backtest(Series(name="walk", values=tuple(values), step_s=60.0), (1,)).scores
    assert 0.9 < score.ensemble_ratio < 1.2, "nobody beats the last value of a random walk"
    with pytest.raises(ValueError, match="120 are needed"):
        backtest(Series(name="short", values=(1.0,) * 100, step_s=60.0))


def test_the_second_half_is_judged_without_having_been_seen() -> None:
    values = [50.0] * 200 + [float(number * 37 % 101) for number in range(200)]
    other = values[:300] + [-1.0] * 100
    first, second = (backtest(Series(name="x", values=tuple(v), step_s=60.0), (1,)) for v in (values, other))
    assert first.forecasts[:101] == second.forecasts[:101]
    assert first.forecasts[110:] != second.forecasts[110:]
