"""The life of an agent: drawn once, and every state can be left."""

import pytest

import hive.agents
from hive.agents.lifecycle import (
    PASSING,
    TRANSITIONS,
    WAKE_ATTEMPTS,
    AgentEvent,
    AgentState,
    AgentStateError,
    after,
    diagram,
    overdue,
)


def reachable(state: AgentState) -> set[AgentState]:
    """Return the states that some events lead to from one."""
    found, left = {state}, [state]
    while left:
        before = left.pop()
        for (at, _), then in TRANSITIONS.items():
            if at is before and then not in found:
                found.add(then)
                left.append(then)
    return found


@pytest.mark.parametrize("state", AgentState)
def test_every_state_can_be_reached_and_left_and_leads_back_to_awake(state: AgentState) -> None:
    assert state in reachable(AgentState.AWAKE)
    assert AgentState.AWAKE in reachable(state)
    assert reachable(state) == set(AgentState)


@pytest.mark.parametrize("state", sorted(PASSING))
def test_no_state_that_a_process_goes_through_outlasts_that_process(state: AgentState) -> None:
    for strikes in range(WAKE_ATTEMPTS):
        then = after(state, overdue(state, strikes))
        assert then is not None
        assert then not in PASSING
    assert after(state, AgentEvent.FAILED) is not None


def test_a_failed_consolidation_never_keeps_an_agent_asleep() -> None:
    for event in (AgentEvent.FAILED, AgentEvent.TIMED_OUT, AgentEvent.CONSOLIDATED):
        assert after(AgentState.CONSOLIDATING, event) is AgentState.SLEEPING
    for asleep in (AgentState.SLEEPING, AgentState.CONSOLIDATING):
        assert after(asleep, AgentEvent.WAKE) is AgentState.PREPARING_WAKE


def test_only_an_agent_that_is_awake_goes_to_sleep_and_the_third_wake_that_dies_is_an_error() -> None:
    assert [state for state in AgentState if after(state, AgentEvent.SLEEP)] == [AgentState.AWAKE]
    ends = [after(AgentState.PREPARING_WAKE, overdue(AgentState.PREPARING_WAKE, strikes)) for strikes in range(3)]
    assert ends == [AgentState.SLEEPING, AgentState.SLEEPING, AgentState.ERROR]
    error = AgentStateError("reviewer-7", AgentState.SLEEPING, AgentEvent.SLEEP)
    assert str(error).endswith("is sleeping: no 'sleep' there; possible are consolidate, wake")


def test_the_drawing_in_the_design_note_is_the_table() -> None:
    lines = diagram().splitlines()
    assert len(lines) == 2 + len(TRANSITIONS)
    note = [line.strip() for line in str(hive.agents.__doc__).splitlines()]
    first = note.index(lines[0].strip())
    assert note[first : first + len(lines)] == [line.strip() for line in lines]
