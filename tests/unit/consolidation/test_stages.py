"""Staged flags: buckets that are the same everywhere, gates, and the way back."""

import subprocess
import sys

from hive.consolidation.stages import DAY_MS, STAGES, GateRules, Rollout, advanced, blocked, bucket, counted, reaches

RULES = GateRules()


def test_buckets_are_the_same_in_every_process_and_even() -> None:
    names = [f"reviewer-{place}" for place in range(2_000)]
    script = (
        "import sys; from hive.consolidation.stages import bucket;"
        "print([bucket('sleep', f'reviewer-{place}') for place in range(2000)])"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True, env={"PYTHONHASHSEED": "7"}
    )
    mine = [bucket("sleep", name) for name in names]
    assert other.stdout.strip() == str(mine)
    for stage in STAGES:
        reached = sum(reaches("sleep", stage, name) for name in names)
        assert abs(reached - 20 * stage) <= 60, (stage, reached)


def test_whoever_is_reached_stays_reached() -> None:
    for place in range(200):
        stages = [reaches("sleep", stage, f"agent-{place}") for stage in STAGES]
        assert stages == sorted(stages)
        assert not stages[0]
        assert stages[-1]


def test_gates_ask_for_time_and_moves() -> None:
    rollout = advanced(Rollout(), now_ms=0, reason="begin")
    assert rollout.stage == 1
    assert blocked(rollout, RULES, DAY_MS - 1) == "it has been there for 24.0 h of 24 h"
    assert blocked(rollout, RULES, DAY_MS) == "0 of 100 moves were made"
    for _ in range(100):
        rollout = counted(rollout, RULES, DAY_MS, failed=False)
    assert blocked(rollout, RULES, DAY_MS) == ""
    half = Rollout(stage=50, moved_count=500)
    assert blocked(half, RULES, 7 * DAY_MS - 1)
    assert not blocked(half, RULES, 7 * DAY_MS)
    assert advanced(Rollout(stage=100), now_ms=5, reason="again").stage == 100


def test_too_many_failures_roll_back() -> None:
    rollout = Rollout(stage=10)
    for _ in range(17):
        rollout = counted(rollout, RULES, 9, failed=False)
    for _ in range(2):
        rollout = counted(rollout, RULES, 9, failed=True)
    assert rollout.stage == 10
    back = counted(rollout, RULES, 9, failed=True)
    assert back == Rollout(stage=0, since_ms=9, reason="rolled back by itself: 3 of 20 moves failed at 10 %")
    lasting = Rollout(stage=10, moved_count=99, failed_count=5)
    assert counted(lasting, RULES, 9, failed=True).stage == 0
    assert counted(lasting, RULES, 9, failed=False).stage == 10
