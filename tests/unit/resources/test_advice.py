"""Advice to an agent type follows the peaks of its own tasks."""

import pytest

from hive.agents.types import Resources
from hive.resources.advice import Change, TaskUse, advise

ASKED = Resources(cores=1.0, memory_mb=512)


def uses(*memory_mb: float, cores: float = 0.9) -> list[TaskUse]:
    return [TaskUse(memory_mb=each, cpu_s=cores * 2, wall_s=2) for each in memory_mb]


@pytest.mark.parametrize(
    ("used", "change", "memory_mb", "cores"),
    [
        (uses(*[100.0] * 9), Change.UNKNOWN, 512, 1.0),
        (uses(*[400.0] * 10), Change.KEEP, 512, 1.0),
        (uses(*[100.0] * 10), Change.LESS, 128, 1.0),
        (uses(*[100.0] * 50, 500.0), Change.MORE, 640, 1.0),
        (uses(*[400.0] * 10, cores=0.1), Change.LESS, 512, 0.25),
        (uses(*[100.0] * 10, cores=1.9), Change.MORE, 128, 2.5),
    ],
    ids=["too few", "fits", "a fifth is used", "one peak", "waits", "computes on two cores"],
)
def test_advice_follows_use(used: list[TaskUse], change: Change, memory_mb: int, cores: float) -> None:
    found = advise(ASKED, used)
    assert (found.change, found.memory_mb, found.cores, found.tasks) == (change, memory_mb, cores, len(used))


def test_advice_that_was_taken_is_not_given_again() -> None:
    for peak in (3.0, 60.0, 333.0, 700.0):
        for cores in (0.01, 0.3, 0.9, 1.7):
            used = uses(*[peak] * 20, cores=cores)
            first = advise(ASKED, used)
            taken = Resources(cores=first.cores, memory_mb=first.memory_mb)
            assert advise(taken, used).change is Change.KEEP, (peak, cores)
