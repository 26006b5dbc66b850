"""The sketch of service times: its error bound, its memory, and forgetting."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.learning import QuantileSketch

times = st.lists(st.floats(1e-5, 1e6), min_size=1, max_size=200)


@given(times, st.floats(0.0, 1.0), st.sampled_from([0.01, 0.05]))
def test_a_quantile_is_off_by_no_more_than_the_stated_share(values: list[float], share: float, error: float) -> None:
    sketch = QuantileSketch(error)
    sketch.add_all(values)
    exact = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
    assert sketch.quantile_s(share) == pytest.approx(exact, rel=error * 1.001)
    assert sketch.count == pytest.approx(len(values))
    assert sketch.mean_s == pytest.approx(sum(values) / len(values))


def test_memory_is_bounded_whatever_comes() -> None:
    sketch = QuantileSketch(0.01)
    sketch.add_all(1e-9 * 1.001**number for number in range(60_000))
    assert sketch.bucket_count <= 1_442
    assert sketch.quantile_s(1.0) == pytest.approx(30 * 86_400, rel=0.01)


def test_old_times_are_forgotten_even_over_very_many() -> None:
    sketch = QuantileSketch(memory=100)
    sketch.add_all([10.0] * 30_000)
    assert sketch.count == pytest.approx(100, rel=0.01)
    sketch.add_all([1.0] * 600)
    assert sketch.quantile_s(0.95) == pytest.approx(1.0, rel=0.02)
    assert sketch.mean_s == pytest.approx(1.0, rel=0.05)


def test_nothing_and_nonsense() -> None:
    sketch = QuantileSketch()
    assert sketch.quantile_s(0.5) == sketch.mean_s == 0.0
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="service time"):
            sketch.add(wrong)
    sketch.add(0.0)
    assert sketch.quantile_s(0.5) == pytest.approx(0.0, abs=1e-5)
