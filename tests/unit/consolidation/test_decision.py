"""Decisions on one agent: each reason to leave it alone, and those to act."""

from dataclasses import replace

import pytest

from hive.agents.lifecycle import AgentState
from hive.consolidation.decision import Action, AgentView, decide
from hive.learning.idleness import IdleChance
from hive.settings.scheduler import SchedulerSettings

IDLE, BUSY = IdleChance(chance=0.9, known=True), IdleChance(chance=0.1, known=True)
UNKNOWN = IdleChance(chance=0.0, known=False)
AWAKE = AgentView(agent="reviewer-7", state=AgentState.AWAKE, idle=IDLE, quiet_s=300.0)
ASLEEP = replace(AWAKE, state=AgentState.SLEEPING, is_ours=True)


@pytest.mark.parametrize(
    ("view", "action"),
    [
        (AWAKE, Action.SLEEP),
        (replace(AWAKE, idle=BUSY), Action.KEEP),
        (replace(AWAKE, idle=UNKNOWN), Action.DEFER),
        (replace(AWAKE, running_count=1), Action.KEEP),
        (replace(AWAKE, waiting_count=1), Action.KEEP),
        (replace(AWAKE, quiet_s=299.0), Action.KEEP),
        (ASLEEP, Action.KEEP),
        (replace(ASLEEP, idle=BUSY), Action.WAKE),
        (replace(ASLEEP, idle=BUSY, is_ours=False), Action.KEEP),
        (replace(ASLEEP, idle=UNKNOWN), Action.DEFER),
        (replace(ASLEEP, loose_tokens=5_000), Action.CONSOLIDATE),
        (replace(ASLEEP, loose_tokens=4_999), Action.KEEP),
        *((replace(AWAKE, state=state), Action.KEEP) for state in AgentState if state not in ("awake", "sleeping")),
    ],
)
def test_actions(view: AgentView, action: Action) -> None:
    assert decide(view, SchedulerSettings()).action is action


def test_a_sleep_that_gains_too_little_is_not_taken() -> None:
    lukewarm = replace(AWAKE, idle=IdleChance(chance=0.55, known=True), load=1.0)
    assert decide(lukewarm, SchedulerSettings(benefit=0.45)).action is Action.KEEP
    assert decide(replace(lukewarm, loose_tokens=50_000), SchedulerSettings(benefit=0.45)).action is Action.SLEEP


def test_reasons_say_what_was_known() -> None:
    decision = decide(replace(AWAKE, loose_tokens=1_234), SchedulerSettings())
    assert decision.reasons == (
        "nobody is likely to need it (benefit 0.76)",
        "chance of an idle half hour 90%",
        "load 0% of the usual",
        "1,234 tokens to consolidate",
    )
