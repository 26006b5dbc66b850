"""A dependency that was down is not overrun when it comes back, and every task is done."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
TASKS, CAPACITY = 300, 100


def test_a_dependency_that_comes_back_is_offered_no_more_than_twice_its_capacity() -> None:
    options = ["--tasks", str(TASKS), "--capacity", str(CAPACITY), "--down-s", "3", "--workers", "1", "--json"]
    command = [sys.executable, "benchmarks/storm.py", "batched", "--timeout-s", "150", *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    (found,) = json.loads(ran.stdout)["rows"]

    assert found["done"] == TASKS
    assert found["peak_after_per_s"] <= 2 * CAPACITY
    # They waited for the probe, and were not tried again and again meanwhile.
    assert found["calls_while_down"] < 1.2 * TASKS
    assert found["calls_after"] < 1.5 * TASKS
