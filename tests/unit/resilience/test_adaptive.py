"""Adaptive retries learn when trying helps, and say on what grounds they choose."""

import random

import pytest

from hive.resilience.adaptive import BINS_S, CELL_FULL, Outcomes, bin_of, choose
from hive.resilience.causes import Cause
from hive.resilience.failure import Failure
from hive.resilience.strategies import AdaptiveRetry


def train(outcomes: Outcomes, recovers_s: float, rng: random.Random, tasks: int = 300) -> None:
    """Learn from tasks that fail until so many seconds after their first failure."""
    strategy = AdaptiveRetry(max_retries=12)
    for _ in range(tasks):
        elapsed_s, retries = 0.0, 0
        while True:
            failure = Failure(task="t", cause=Cause.NETWORK, retries=retries, elapsed_s=elapsed_s)
            decision = strategy.decide(failure, rng, outcomes)
            if decision.delay_s is None or decision.cell is None:
                break
            elapsed_s += decision.delay_s
            done = elapsed_s >= recovers_s
            outcomes.add((decision.cell[0], max(bin_of(elapsed_s), decision.cell[0])), done=done)
            if done:
                break
            retries += 1


def typical_s(outcomes: Outcomes, rng: random.Random) -> float:
    """Return the wait after a first failure; the middle of many, because now and then it explores."""
    return sorted(choose(outcomes, 0.0, 3600.0, 10.0, rng).delay_s for _ in range(101))[50]


@pytest.mark.parametrize("recovers_s", [3.0, 50.0, 700.0])
def test_it_waits_as_long_as_recoveries_take(recovers_s: float, rng: random.Random) -> None:
    outcomes = Outcomes()
    train(outcomes, recovers_s, rng)
    assert typical_s(outcomes, rng) == next(start_s for start_s in BINS_S if start_s >= recovers_s)


def test_it_hardly_waits_where_that_is_not_what_helps(rng: random.Random) -> None:
    outcomes = Outcomes()
    train(outcomes, 0.0, rng)
    assert typical_s(outcomes, rng) <= 2.0


def test_it_learns_anew_what_has_changed(rng: random.Random) -> None:
    outcomes = Outcomes()
    train(outcomes, 3.0, rng)
    assert typical_s(outcomes, rng) == 4.0
    train(outcomes, 50.0, rng, tasks=1000)
    assert typical_s(outcomes, rng) == 64.0
    assert all(good + bad <= CELL_FULL for good, bad in outcomes.cells.values())


def test_it_says_why(rng: random.Random) -> None:
    outcomes = Outcomes()
    for place in range(100):
        outcomes.add((0, 4), done=place > 9)
        for sooner in (1, 2, 3):
            outcomes.add((0, sooner), done=False)
    choice = choose(outcomes, 0.0, 3600.0, 10.0, random.Random(1))
    assert choice.cell == (0, 4)
    assert choice.why == "4 s after the first failure: 90 of 100 retries made then were done, 0 of 300 made sooner"


def test_bugs_are_retried_at_once_and_given_up_where_that_never_helped(rng: random.Random) -> None:
    strategy, failure = AdaptiveRetry(), Failure(task="t", cause=Cause.BUG)
    fresh = strategy.decide(failure, rng, Outcomes())
    assert fresh.delay_s is not None
    assert fresh.delay_s < 0.1
    hopeless = Outcomes({(0, 0): (0.0, 200.0)})
    decisions = [strategy.decide(failure, rng, hopeless) for _ in range(200)]
    given_up = [decision for decision in decisions if decision.delay_s is None]
    assert 180 < len(given_up) <= 200
    assert "of the last 200 retries after it 0 were done" in given_up[0].why
    outage = Failure(task="t", cause=Cause.NETWORK)
    assert all(strategy.decide(outage, rng, hopeless).delay_s is not None for _ in range(200))
    assert AdaptiveRetry(gives_up=False).decide(failure, rng, hopeless).delay_s is not None


def test_what_the_broker_keeps_is_read_back() -> None:
    outcomes = Outcomes.of({"0:4:done": 3.0, "0:4:failed": 1.5, "2:3:failed": 2.0})
    assert outcomes.cells == {(0, 4): (3.0, 1.5), (2, 3): (0.0, 2.0)}
    assert outcomes.total == (3.0, 3.5)
