import pytest

from hive.testing.clock import ManualClock


def test_time_passes_on_both_clocks_and_steps_on_one() -> None:
    clock = ManualClock(wall_ms=1_000, monotonic_s=5.0)
    clock.advance(1.5)
    assert (clock.wall_ms(), clock.monotonic_s()) == (2_500, 6.5)
    clock.step(-2)
    assert (clock.wall_ms(), clock.monotonic_s()) == (500, 6.5)
    with pytest.raises(ValueError, match="step"):
        clock.advance(-1)
