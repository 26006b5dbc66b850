"""Tasks that declare something of hive's own: limits, breakers, bookings, keys, turns, retries that the fleet shares.

Each notes its start and its end once, in the attempt that is the last, so that the ledger counts them as it counts all others.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from hive import (
    AdaptiveRetry,
    BatchedRetry,
    BreakerSettings,
    Default,
    Hive,
    ImmediateRetry,
    LastGood,
    Limit,
    Resources,
    RetryBudget,
    Unique,
)

#: What the shared state of these tasks is kept under.
DEPENDENCY = "chaos"

#: A breaker that the tests hold open.
SHUT = "chaos-shut"

#: Seconds for which a unique task holds its key, at most.
KEY_S = 5.0

#: What a signalled task waits for.
EVENT = "go"

LIMITS = (
    Limit.requests(200, per_s=1, key=DEPENDENCY),
    Limit.tokens(10_000, per_s=1, key=DEPENDENCY, estimate=10),
    Limit.concurrency(2, key=DEPENDENCY),
)
RULES = BreakerSettings(window_s=5.0, failure_count=2, open_s=0.5, probes=1, probe_lease_s=2.0)
BATCHED = BatchedRetry(dependency=DEPENDENCY, probe_s=0.3, probe_cap_s=0.3, release_per_s=50.0, hold_s=3.0)
BUDGET = RetryBudget(dependency=DEPENDENCY, share=0.0, min_per_s=20.0, window_s=0.5)


class Notes(Protocol):
    """Takes what happened."""

    def note(self, kind: str, id_: object) -> None:
        """Append one line."""


def define(app: Hive, effects: Notes, *, knows_late: bool) -> None:
    """Define the tasks.

    Args:
        app: the application.
        effects: where starts and ends go.
        knows_late: whether this process is of the release that brought the task ``chaos.late``.
    """

    def run(id_: str, seconds: float = 0.0, *, do: Callable[[], object] = bool) -> str:
        effects.note("s", id_)
        time.sleep(seconds)  # noqa: TID251 - what a task does
        do()
        effects.note("f", id_)
        return id_

    _guarded(app, run)
    _retried(app, run)
    _durable(app, run)
    if knows_late:
        app.task(name="chaos.late", shared=False)(_named(run))


def _guarded(app: Hive, run: Callable[..., str]) -> None:
    def shut_out(id_: str) -> None:
        run(id_)
        with app.breaker(SHUT):
            raise AssertionError("the breaker is not open")

    task = partial(app.task, shared=False)
    settle = partial(app.limits.settle, tokens=5)
    task(name="chaos.limited", limits=LIMITS)(_named(lambda id_, seconds=0.0: run(id_, seconds, do=settle)))
    task(name="chaos.needy", needs=Resources(memory_mb=1))(_named(run))
    task(name="chaos.fair", fair_key="{id_}")(_named(run))
    task(name="chaos.unique", unique=Unique(within_s=KEY_S))(_named(run))
    task(name="chaos.answered", fallback=LastGood(max_age_s=60))(_named(run))
    task(name="chaos.shut", fallback=[LastGood(), Default(value="none")])(shut_out)


def _retried(app: Hive, run: Callable[..., str]) -> None:
    def fail_first(task: Any, id_: str, seconds: float = 0.0) -> str:
        if not task.request.retries:
            raise ConnectionError("the first attempt finds nobody")
        return run(id_, seconds)

    def give_up(task: Any, id_: str, seconds: float = 0.0) -> None:
        run(id_, seconds)
        raise RuntimeError("done, and failed for good")

    app.circuits.declare(DEPENDENCY, RULES)
    task = partial(app.task, shared=False, bind=True)
    task(name="chaos.flaky", breaker=DEPENDENCY, retry=ImmediateRetry(max_retries=50))(_bound(fail_first))
    task(name="chaos.parked", retry=BATCHED)(_bound(fail_first))
    task(name="chaos.budgeted", retry=ImmediateRetry(budget=BUDGET))(_bound(fail_first))
    task(name="chaos.learning", retry=AdaptiveRetry(attempt_cost_s=0.1))(_bound(fail_first))
    task(name="chaos.hopeless", retry=ImmediateRetry(max_retries=0, dead_letter=True))(_bound(give_up))


def _durable(app: Hive, run: Callable[..., str]) -> None:
    def stepwise(task: Any, id_: str, seconds: float = 0.0) -> str:
        steps = task.durable
        steps.step("first", time.monotonic)
        steps.sleep(for_s=0.3)
        steps.step("second", time.monotonic)
        return run(id_, seconds)

    def signalled(task: Any, id_: str, seconds: float = 0.0) -> str:
        task.durable.wait_for(EVENT)
        return run(id_, seconds)

    task = partial(app.task, shared=False, bind=True, durable=True)
    task(name="chaos.durable")(_bound(stepwise))
    task(name="chaos.signalled")(_bound(signalled))


def _named(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of its own with the parameters that key templates name."""

    def body(id_: str, seconds: float = 0.0) -> Any:
        return function(id_, seconds)

    return body


def _bound(function: Callable[..., Any]) -> Callable[..., Any]:
    def body(self: Any, id_: str, seconds: float = 0.0) -> Any:
        return function(self, id_, seconds)

    return body
