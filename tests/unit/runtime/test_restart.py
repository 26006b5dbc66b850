"""When a part that ended is started again."""

from hive.runtime.supervision.restart import Backoff


def test_the_pause_doubles_up_to_its_bound() -> None:
    pause = Backoff(max_s=5.0)
    assert [pause.ended(0.0) for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert [pause.ended(0.0) for _ in range(2_000)][-1] == 5.0


def test_one_that_served_long_waits_briefly_again() -> None:
    pause = Backoff(max_s=5.0)
    for _ in range(4):
        pause.ended(0.0)
    assert pause.ended(served_s=4.9) == 5.0
    assert pause.ended(served_s=5.1) == 0.5
    assert pause.ended(served_s=0.0) == 1.0
