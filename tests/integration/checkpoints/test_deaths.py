"""A writer dies with SIGKILL at every step of a write, and at random instants; nothing is torn, and nothing told of is lost."""

import random
import threading

import pytest

from tests.support.checkpoint_faults import AGENT, POINTS, Writer, judged, state_of
from tests.support.checkpoint_sides import Sides

#: Random deaths here; ``benchmarks/checkpoints.py --kills 500`` is the full size.
KILLS = 25


@pytest.mark.slow
def test_a_death_at_any_step_leaves_the_checkpoint_before_or_the_new_one(sides: Sides) -> None:
    first = sides.open().write(AGENT, state_of(1, 1)).generation
    # What one leaves behind is what the next one finds.
    for place, point in enumerate(POINTS):
        told, code = Writer(sides, place, point, 2).last()
        assert code == -9, f"{point} was not reached"
        found = judged(sides.open(), told)
        assert found is not None
        # Up to the commit nothing is there; after it everything, whatever the writer was told.
        is_committed = POINTS.index(point) >= POINTS.index("committed")
        assert found.generation == first + (2 if is_committed else 1), point
        assert told == first + 1
        first = found.generation
        without_broker = sides.open(cached=False).read(AGENT)
        assert without_broker is not None
        assert without_broker.generation == first


@pytest.mark.slow
def test_random_deaths_leave_a_whole_state_that_is_not_older(sides: Sides, rng: random.Random) -> None:
    told = 0
    for _ in range(KILLS):
        process = Writer(sides, rng.randrange(10**6))
        told = max(told, process.first())
        threading.Event().wait(rng.uniform(0, 0.03))
        process.kill()
        told = max(told, process.last()[0])
        found = judged(sides.open(), told)
        assert found is not None
        # The next writer goes on.
        assert sides.open().write(AGENT, state_of(0, 0)).generation == found.generation + 1
        told = found.generation + 1
