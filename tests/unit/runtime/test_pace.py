"""How much a pool's pace lets a worker hold."""

from hive.runtime.worker.pace import FORGET_S, Pace
from hive.testing import ManualClock


def test_a_worker_holds_what_it_can_begin_soon_and_of_long_tasks_nothing_more() -> None:
    clock, ended = ManualClock(), 0
    pace = Pace(clock)
    assert (pace.held(ended), pace.ahead(ended)) == (0, 0)
    for _ in range(20):
        clock.advance(0.02)
        ended += 20
        pace.held(ended)
    # A thousand a second: a tenth of a second's work, and a fiftieth on record as started.
    assert (pace.held(ended), pace.ahead(ended)) == (99, 19)
    # One of a quarter of a second, and it is slow; none for so long, and it is unknown.
    clock.advance(0.24)
    assert pace.held(ended + 1) == 0
    clock.advance(0.02)
    assert pace.held(ended + 20) > 40
    clock.advance(FORGET_S + 0.01)
    assert pace.held(ended + 20) == 0
