"""A fleet's scaler takes the rules of a pool from what its agent type declares."""

import pytest

from hive import AgentType, Hive
from hive.agents.types import Concurrency
from hive.runtime.supervision.fleet_view import PoolWatch
from hive.scaling import ScalingRules
from hive.testing.clock import ManualClock


@pytest.mark.parametrize("lean", [False, True])
def test_a_lean_type_is_scaled_by_lean_rules(*, lean: bool) -> None:
    agent = AgentType(name="rare", workers=Concurrency(minimum=0, maximum=3), target_wait_s=9.0, lean=lean)
    rules = PoolWatch(Hive("watched", broker="redis://localhost"), agent, ManualClock()).rules
    usual = ScalingRules(minimum=0, maximum=rules.maximum, target_wait_s=9.0, plan_ahead_s=rules.plan_ahead_s)
    assert rules == (usual.lean() if lean else usual)
    assert rules.in_advance is not lean
