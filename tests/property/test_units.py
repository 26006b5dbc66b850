"""Units and the map: nothing is lost, nothing is counted twice, whatever the project looks like."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.project import SourceFile
from workers.treemap import treemap
from workers.units import UNIT_BYTES, cost, split

sizes = st.lists(st.integers(0, 5_000_000), max_size=60)


def files_of(sizes_bytes: list[int]) -> list[SourceFile]:
    return [SourceFile(path=f"p/{number}.py", size_bytes=size) for number, size in enumerate(sizes_bytes)]


@given(sizes, st.integers(1, 2_000_000), st.randoms(use_true_random=False))
def test_units_are_a_balanced_partition(sizes_bytes: list[int], unit_bytes: int, shuffle: random.Random) -> None:
    files = files_of(sizes_bytes)
    units = split("/project", files, unit_bytes)

    dealt = [path for unit in units for path in unit.files]
    assert sorted(dealt) == sorted(file.path for file in files), "every file is in exactly one unit"
    assert all(unit.files for unit in units)
    assert all(list(unit.files) == sorted(unit.files) for unit in units)

    weight = {file.path: cost(file) for file in files}
    costs = [sum(weight[path] for path in unit.files) for unit in units]
    assert costs == sorted(costs, reverse=True), "the costliest first"
    if costs:
        assert costs[0] - costs[-1] <= max(weight.values()), "no two differ by more than the largest file"
        assert sum(costs) <= len(costs) * unit_bytes or len(units) == len(files)

    shuffle.shuffle(files)
    assert split("/project", files, unit_bytes) == units, "the order of the files does not matter"


def test_a_small_project_is_one_unit() -> None:
    assert len(split("/project", files_of([1000] * 20))) == 1
    assert len(split("/project", files_of([UNIT_BYTES] * 4))) == 4


paths = st.lists(st.sampled_from(["a", "b", "cc", "d.py"]), min_size=1, max_size=7).map("/".join)


@given(st.dictionaries(paths.map(lambda path: f"{path}/m.py"), st.integers(0, 3000), min_size=1, max_size=40))
def test_the_map_gives_every_file_its_share(files: dict[str, int]) -> None:
    boxes = treemap(files, 1200.0, 520.0)
    top = [box for box in boxes if box.depth == 0]
    assert sum(box.weight for box in top) == sum(max(lines, 1) for lines in files.values())
    assert sum(box.width * box.height for box in top) == pytest.approx(1200.0 * 520.0, rel=0.02)
    assert all(box.x >= -0.1 and box.x + box.width <= 1200.3 for box in boxes)
    assert all(box.y >= -0.1 and box.y + box.height <= 520.3 for box in boxes)
    drawn = sum(box.files for box in boxes if not box.is_directory)
    assert drawn <= len(files), "no file is drawn twice"
    one = [box.path for box in boxes if box.files == 1 and not box.is_directory]
    assert len(one) == len(set(one))
