"""The pure breaker: when it opens, whom it lets probe, when it closes."""

import asyncio

import pytest

from hive.errors import BreakerOpenError
from hive.resilience.breaker import BreakerMachine, BreakerState, CallOutcome, outcome_of
from hive.settings.parts import BreakerSettings

RULES = BreakerSettings(window_s=10, min_calls=4, failure_rate=0.5, open_s=5, probes=2, probe_lease_s=3)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def opened(now_ms: int = 0) -> BreakerMachine:
    machine = BreakerMachine(RULES)
    assert machine.report(now_ms, 0, 0, RULES.min_calls).state is OPEN
    return machine


@pytest.mark.parametrize(
    ("count", "reports", "state"),
    [
        (0, [(0, 3)], CLOSED),  # too few calls for the rate
        (0, [(5, 4)], CLOSED),  # enough, under the rate
        (0, [(5, 4), (0, 1)], OPEN),  # 5 of 10
        (0, [(100, 0), (0, 50)], CLOSED),  # many, but a third
        (5, [(100, 0), (0, 5)], OPEN),  # the count says so, whatever the rate
        (5, [(0, 0)], CLOSED),
    ],
)
def test_it_opens_by_rate_among_enough_calls_or_by_count(
    count: int, reports: list[tuple[int, int]], state: BreakerState
) -> None:
    machine = BreakerMachine(RULES.model_copy(update={"failure_count": count}))
    for now_ms, (answered, failed) in enumerate(reports):
        view = machine.report(now_ms, 0, answered, failed)
    assert view.state is state


def test_what_left_the_window_counts_no_more() -> None:
    machine = BreakerMachine(RULES)
    machine.report(0, 0, 0, 3)
    assert machine.report(10_000, 0, 0, 1).state is CLOSED
    assert machine.report(10_000, 0, 0, 3).state is OPEN


def test_calls_of_an_older_generation_count_no_more() -> None:
    machine = opened()
    machine.probe(5_000, "a")
    machine.settle(5_000, "a", CallOutcome.ANSWERED)
    machine.probe(5_000, "b")
    closed = machine.settle(5_000, "b", CallOutcome.ANSWERED)
    assert (closed.state, closed.generation) == (CLOSED, 4)
    assert machine.report(5_001, 1, 0, 100).state is CLOSED
    assert machine.report(5_001, 4, 0, 100).state is OPEN


def test_probes_are_given_when_the_open_time_is_over_and_never_more_than_set() -> None:
    machine = opened()
    assert not machine.probe(4_999, "early").granted
    given = [machine.probe(5_000, token).granted for token in ("a", "b", "c", "a")]
    assert given == [True, True, False, True]
    # One that was answered still counts; the next comes when the breaker is closed, not before.
    machine.settle(5_100, "a", CallOutcome.ANSWERED)
    assert not machine.probe(5_100, "c").granted
    # One that proved nothing makes room, and one whose holder died does after its lease.
    machine.settle(5_200, "b", CallOutcome.NEITHER)
    assert machine.probe(5_200, "c").granted
    assert not machine.probe(8_100, "d").granted
    machine.renew(8_100, "c")
    assert not machine.probe(8_300, "d").granted
    assert machine.probe(11_100, "d").granted
    assert machine.settle(11_100, "c", CallOutcome.ANSWERED).state is HALF_OPEN
    assert machine.settle(11_200, "d", CallOutcome.ANSWERED).state is CLOSED


def test_one_failed_probe_opens_it_again_and_a_repeat_says_nothing() -> None:
    machine = opened()
    machine.probe(5_000, "a")
    view = machine.settle(5_500, "a", CallOutcome.FAILED)
    assert (view.state, view.until_ms) == (OPEN, 10_500)
    assert machine.settle(5_600, "a", CallOutcome.FAILED) == machine.report(5_600, 0, 0, 0)
    assert machine.report(5_600, 0, 0, 0).until_ms == 10_500


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, CallOutcome.ANSWERED),
        (ConnectionResetError(), CallOutcome.FAILED),
        (TimeoutError(), CallOutcome.FAILED),
        (MemoryError(), CallOutcome.FAILED),
        (ValueError("bad input"), CallOutcome.NEITHER),
        (PermissionError(), CallOutcome.NEITHER),
        (ZeroDivisionError(), CallOutcome.NEITHER),
        (asyncio.CancelledError(), CallOutcome.NEITHER),
        (KeyboardInterrupt(), CallOutcome.NEITHER),
        (BreakerOpenError("inner", "it is open", 1.0), CallOutcome.NEITHER),
    ],
)
def test_only_the_dependencys_failures_count(error: BaseException | None, outcome: CallOutcome) -> None:
    assert outcome_of(error) is outcome
