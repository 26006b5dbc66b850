"""Faults of every kind under load, counted in four words: lost, duplicated, recovered, unexpected.

The short profile runs with every test run, after all others and with nothing beside it, because it holds what happens
to bounds of time too; ``make chaos`` runs the long one, with the sizes and the default settings
of the promise. Each case prints one line of JSON; a run is repeated by its printed seed (``HIVE_TEST_SEED``).
"""

import json
from collections.abc import Callable
from enum import Enum
from functools import partial

import pytest

from tests.chaos import deaths, outages, steps, waiting
from tests.chaos.run import Report, Run
from tests.conftest import SEED
from tests.support.redis_server import RedisServer

#: Seeds of the long profile, in which the case with the most dice is thrown thrice.
LONG_SEEDS = (SEED, SEED + 1, SEED + 2)


class Case(Enum):
    """What goes wrong."""

    KILLED_WORKERS = partial(deaths.killed_workers)
    """SIGKILL of whole workers."""
    RECLAIMED = partial(deaths.reclaimed)
    """SIGKILL of a worker with a thousand messages in flight."""
    RUNNING_AGAIN = partial(deaths.running_again)
    """SIGKILL of a worker inside a thousand tasks."""
    KILLED_CHILDREN = partial(deaths.killed_children)
    """SIGKILL of pool children."""
    POISON = partial(deaths.poison)
    """A message that kills its whole worker."""
    TERMINATED = partial(deaths.terminated)
    """SIGTERM under load."""
    EVERY_STEP = partial(steps.every_step)
    """SIGKILL before and after each step on the broker."""
    LONG_TASKS = partial(waiting.long_tasks)
    """Tasks many times as long as the lease, no core idle."""
    FROZEN_WORKER = partial(waiting.frozen_worker)
    """SIGSTOP past the lease, then SIGCONT."""
    DUE_TIMES = partial(waiting.due_times)
    """SIGKILL while messages wait for their time."""
    STEADY_MEMORY = partial(waiting.steady_memory)
    """Connections lost again and again over very many tasks."""
    BROKER_AWAY = partial(outages.broker_away)
    """The broker is gone for several leases."""
    CLOCK_STEPS = partial(outages.clock_steps)
    """The broker's clock jumps by an hour."""
    CUT_CONNECTIONS = partial(outages.cut_connections)
    """Resets, black holes, refusals and lost replies."""
    BROKER_RESTARTS = partial(outages.broker_restarts)
    """SIGKILL of the broker, again and again."""
    FULL_BROKER = partial(outages.full_broker)
    """The broker's memory limit."""


def execute(case: Case, run: Run, server: RedisServer) -> None:
    """Run a case, print its line, and hold it to its bounds."""
    body: Callable[[Run, RedisServer], Report] = case.value
    report = body(run, server)
    figures = {name: round(value, 3) for name, value in report.figures.items()}
    line = {"case": case.name.lower(), "seed": run.seed, **report.verdict.as_dict(), **figures}
    print("\n" + json.dumps(line))
    assert report.broken() == []


@pytest.mark.acceptance
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("case", Case, ids=lambda case: case.name.lower())
def test_short(case: Case, own_redis: RedisServer) -> None:
    execute(case, Run(is_long=False, seed=SEED), own_redis)


@pytest.mark.chaos
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("case", Case, ids=lambda case: case.name.lower())
def test_long(case: Case, own_redis: RedisServer) -> None:
    for seed in LONG_SEEDS if case is Case.KILLED_WORKERS else LONG_SEEDS[:1]:
        execute(case, Run(is_long=True, seed=seed), own_redis)
