"""Whether an agent will be needed: what the forecaster says of pasts whose future is plain."""

import pytest

from hive.learning.idleness import DAY, HOUR, KEPT, LEARNING, WINDOW, IdlenessForecaster

OFFICE = [12.0 if 9 * HOUR <= place < 17 * HOUR else 0.0 for place in range(DAY)]


def test_says_nothing_of_an_agent_it_hardly_knows() -> None:
    forecaster = IdlenessForecaster([3.0] * (LEARNING - 1))
    assert not forecaster.chance().known
    forecaster.update(3.0)
    assert forecaster.chance().known


@pytest.mark.parametrize(
    ("counts", "is_idle"),
    [
        ([0.0] * DAY, True),
        ([5.0] * DAY, False),
        ([300.0] * DAY, False),
        (OFFICE * 2, True),
        ([*OFFICE, *OFFICE[: 10 * HOUR]], False),
        ([*OFFICE, *OFFICE[: 17 * HOUR + WINDOW]], True),
    ],
    ids=["never called", "called always", "called very often", "at midnight", "in the morning", "after office hours"],
)
def test_plain_pasts(counts: list[float], *, is_idle: bool) -> None:
    assert (IdlenessForecaster(counts).chance().chance > 0.5) is is_idle


def test_a_day_ago_tells_of_the_coming_morning() -> None:
    before_nine = OFFICE[: 9 * HOUR]
    known = IdlenessForecaster([*OFFICE, *OFFICE, *before_nine]).chance().chance
    at_night = IdlenessForecaster([*OFFICE, *OFFICE, *OFFICE[: 4 * HOUR]]).chance().chance
    assert known < at_night


def test_remembers_two_days_and_no_more() -> None:
    long, short = IdlenessForecaster([50.0] * 5 * DAY), IdlenessForecaster([1.0] * 3 * DAY)
    for count in [1.0, 0.0, 2.0] * KEPT:
        long.update(count)
        short.update(count)
    assert long.usual == pytest.approx(short.usual)
    assert long.chance().features == pytest.approx(short.chance().features)


@pytest.mark.parametrize("count", [-1.0, float("nan"), float("inf")])
def test_refuses_what_is_no_count(count: float) -> None:
    with pytest.raises(ValueError, match="a count of arrivals"):
        IdlenessForecaster().update(count)
