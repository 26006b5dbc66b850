"""An agent's past as the scheduler keeps it: counts by interval, and what was foretold."""

from dataclasses import replace

import pytest

from hive.learning.idleness import KEPT, WINDOW
from hive.runtime.rest.past import Past

BEGAN = Past(interval=1_000, messages_count=50)


def test_counts_what_came_in_each_interval() -> None:
    past = BEGAN.seen(1_001, 53).seen(1_002, 53)
    assert past.counts == (3.0, 0.0)
    assert past.seen(1_002, 60) == past


def test_spreads_what_came_while_nobody_looked() -> None:
    assert BEGAN.seen(1_004, 58).counts == (2.0, 2.0, 2.0, 2.0)
    assert len(BEGAN.seen(1_000 + 5 * KEPT, 50).counts) == KEPT


def test_a_counter_that_began_anew_counts_nothing_negative() -> None:
    assert BEGAN.seen(1_001, 4).counts == (0.0,)


def test_survives_being_written() -> None:
    past = replace(BEGAN.seen(1_004, 58).seen(1_010, 58), foretold=1_003, was_idle=True)
    assert Past.read(past.written()) == past
    quiet = BEGAN.seen(1_000 + KEPT, 50)
    assert len(quiet.written()) < 30


@pytest.mark.parametrize(("messages", "was_idle", "right"), [(50, True, True), (90, True, False), (90, False, True)])
def test_judges_a_foretelling_once_it_is_over(messages: int, *, was_idle: bool, right: bool) -> None:
    steady = BEGAN.seen(1_100, 150)
    foretold = replace(steady, foretold=steady.interval, was_idle=was_idle)
    almost = foretold.seen(foretold.interval + WINDOW - 1, 150 + messages - 50)
    assert almost.judged() is None
    assert almost.seen(foretold.interval + WINDOW, 150 + messages - 50).judged() is right
