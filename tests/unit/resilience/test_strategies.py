"""The seven strategies: formula, cap, jitter after the cap, deadline, number of retries."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from hive.errors import SettingsError
from hive.resilience.budget import RetryAccount, RetryBudget
from hive.resilience.causes import NOT_RETRIED, Cause
from hive.resilience.declaration import strategy_of
from hive.resilience.failure import Decision, Failure
from hive.resilience.strategies import (
    STRATEGIES,
    AdaptiveRetry,
    BatchedRetry,
    ExponentialRetry,
    FibonacciRetry,
    ImmediateRetry,
    LinearRetry,
    PriorityRetry,
    RetryStrategy,
)


def decide(strategy: RetryStrategy, seed: int = 1, **fields: Any) -> Decision:
    failure = Failure(**{"task": "t", "cause": Cause.NETWORK, **fields})
    return strategy.decide(failure, random.Random(seed))


def waits(strategy: RetryStrategy, count: int, **fields: Any) -> list[float | None]:
    return [decide(strategy, retries=retries, **fields).delay_s for retries in range(count)]


SERIES: list[tuple[RetryStrategy, dict[str, int], list[float]]] = [
    (ImmediateRetry(max_retries=9, jitter=0.0), {}, [0.1] * 5),
    (LinearRetry(base_s=2, max_retries=9, jitter=0.0), {}, [2, 4, 6, 8, 10]),
    (ExponentialRetry(base_s=2, factor=3, max_retries=9, jitter=0.0), {}, [2, 6, 18, 54, 162]),
    (FibonacciRetry(max_retries=9, jitter=0.0), {}, [1, 1, 2, 3, 5]),
    (BatchedRetry(probe_s=1, probe_cap_s=5, jitter=0.0), {}, [1, 2, 4, 5, 5]),
    (PriorityRetry(max_retries=9, jitter=0.0), {}, [1, 2, 4, 8, 16]),
    (PriorityRetry(max_retries=9, jitter=0.0), {"priority": 4}, [5, 10, 20, 40, 80]),
    (PriorityRetry(max_retries=9, jitter=0.0), {"priority": 9}, [300, 600, 1200, 2400, 3600]),
]


@pytest.mark.parametrize(("strategy", "fields", "series"), SERIES, ids=lambda value: getattr(value, "name", ""))
def test_each_strategy_has_its_series(strategy: RetryStrategy, fields: dict[str, int], series: list[float]) -> None:
    found = [strategy.wait_s(Failure(task="t", cause=Cause.BUG, retries=n, **fields)) for n in range(5)]  # type: ignore[attr-defined]
    assert [min(wait_s, strategy.cap_s) for wait_s in found] == series
    assert waits(strategy, 5, **fields) == pytest.approx([min(wait_s, strategy.cap_s) for wait_s in found])


@pytest.mark.parametrize("kind", list(STRATEGIES.values()), ids=list(STRATEGIES))
def test_waits_keep_to_the_cap_and_do_not_line_up_there(kind: type[RetryStrategy], rng: random.Random) -> None:
    strategy = kind(max_retries=2000, deadline_s=None, cap_s=10.0)
    failure = Failure(task="t", cause=Cause.NETWORK, retries=1500, elapsed_s=900.0)
    found = [strategy.decide(failure, rng).delay_s or 0.0 for _ in range(200)]
    assert max(found) <= 10.0
    assert len({round(wait_s, 6) for wait_s in found}) > 190
    assert max(found) - min(found) > 0.05 * max(found)


@pytest.mark.parametrize("kind", list(STRATEGIES.values()), ids=list(STRATEGIES))
def test_what_cannot_help_is_not_tried(kind: type[RetryStrategy]) -> None:
    for cause in NOT_RETRIED:
        refused = decide(kind(), cause=cause)
        assert refused.delay_s is None
        assert not refused.is_exhausted
        assert str(cause) in refused.why
    exhausted = decide(kind(max_retries=2), retries=2)
    assert exhausted.delay_s is None
    assert exhausted.is_exhausted
    assert decide(kind(max_retries=2), retries=1).delay_s is not None
    late = decide(kind(deadline_s=60.0), elapsed_s=59.999, retries=1)
    assert late.delay_s is None or late.delay_s < 0.001


def test_what_the_other_side_asked_for_is_never_undercut_nor_capped(rng: random.Random) -> None:
    strategy = ExponentialRetry(cap_s=5.0)
    failure = Failure(task="t", cause=Cause.RATE_LIMIT, retry_after_s=30.0)
    found = [strategy.decide(failure, rng).delay_s or 0.0 for _ in range(100)]
    assert min(found) >= 30.0
    assert max(found) > min(found)
    assert decide(ExponentialRetry(deadline_s=20.0), retry_after_s=30.0).delay_s is None


@pytest.mark.parametrize(
    "fields",
    [
        {"max_retries": None, "deadline_s": None},
        {"max_retries": -1},
        {"cap_s": 0},
        {"jitter": 1.5},
        {"causes": {KeyError: "weather"}},
    ],
)
def test_impossible_strategies_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ExponentialRetry(**fields)


def test_batched_has_its_own_pace() -> None:
    with pytest.raises(ValueError, match="release_per_s"):
        BatchedRetry(budget=RetryBudget())


DECLARED: list[tuple[str | Mapping[str, Any], RetryStrategy]] = [
    ("adaptive", AdaptiveRetry()),
    ({"strategy": "linear", "base_s": 3.0, "max_retries": 7}, LinearRetry(base_s=3.0, max_retries=7)),
    ({"strategy": "priority", "bases_s": [1.0, 2.0, 3.0, 4.0]}, PriorityRetry(bases_s=(1.0, 2.0, 3.0, 4.0))),
    (
        {"strategy": "immediate", "budget": {"dependency": "openai", "share": 0.1}},
        ImmediateRetry(budget=RetryBudget(dependency="openai", share=0.1)),
    ),
]


@pytest.mark.parametrize(("declared", "strategy"), DECLARED, ids=["name", "table", "list", "budget"])
def test_settings_declare_strategies(declared: str | Mapping[str, Any], strategy: RetryStrategy) -> None:
    assert strategy_of(declared) == strategy


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("exponental", "did you mean 'exponential'"),
        ({"strategy": "linear", "bas_s": 1}, "did you mean 'base_s'"),
        ({"strategy": "linear", "jitter": 7}, "jitter"),
        ({"strategy": "linear", "budget": {"shared": 1}}, "did you mean 'share'"),
    ],
)
def test_a_wrong_declaration_says_what_was_meant(declared: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        strategy_of(declared)


def test_an_account_bounds_retries_by_traffic() -> None:
    budget = RetryBudget(share=0.2, min_per_s=1.0, window_s=10.0)
    account = RetryAccount(budget, 0.0)
    booked = []
    # A hundred first attempts a second for a minute, and a retry for each: five times more than the share.
    for tick in range(6000):
        now_s = tick / 100
        booked.append(now_s + account.draw(now_s, 1))
    due = sum(at_s <= 60.0 for at_s in booked)
    allowed = 0.2 * 6000 + 1.0 * 60 + 10
    assert 0.5 * allowed < due <= allowed
    quiet = RetryAccount(budget, 0.0)
    assert [quiet.draw(0.0, 0) for _ in range(12)] == pytest.approx([0.0] * 10 + [1.0, 2.0])
