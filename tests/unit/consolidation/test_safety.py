"""Bounds of the fleet: random rounds never cross them, judged by a second reading of the rules."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.consolidation.decision import Action, Decision
from hive.consolidation.safety import (
    CONSOLIDATION_BREAKER,
    SLEEP_BREAKER,
    Fleet,
    Move,
    Pressure,
    judge,
    open_breakers,
)
from hive.settings.scheduler import SchedulerSettings

NOW_MS = 1_000_000_000
RULES = SchedulerSettings()


def decisions(action: Action, count: int) -> list[Decision]:
    return [
        Decision(agent=f"agent-{place}", action=action, benefit=place / count, confidence=1.0, reasons=())
        for place in range(count)
    ]


def permitted(found: Sequence[Decision], fleet: Fleet) -> list[str]:
    return [verdict.decision.agent for verdict in judge(found, fleet, RULES) if verdict.is_permitted]


def reasons(found: Sequence[Decision], fleet: Fleet) -> set[str]:
    return {verdict.reason for verdict in judge(found, fleet, RULES) if not verdict.is_permitted}


def test_a_share_goes_to_sleep_best_first() -> None:
    fleet = Fleet(now_ms=NOW_MS, agents_count=100, asleep_count=0)
    assert permitted(decisions(Action.SLEEP, 100), fleet) == [f"agent-{place}" for place in range(99, 79, -1)]
    assert reasons(decisions(Action.SLEEP, 100), fleet) == {"at most 20% of the agents go to sleep in 300 s"}


@pytest.mark.parametrize(
    ("fleet", "reason"),
    [
        (Fleet(now_ms=NOW_MS, agents_count=100, asleep_count=30), "at most 30% of 100 agents sleep"),
        (Fleet(now_ms=NOW_MS, agents_count=2, asleep_count=0), "at least 2 agents stay awake"),
        (
            Fleet(now_ms=NOW_MS, agents_count=100, asleep_count=0, pressure=Pressure(cpu_share=0.81)),
            "CPU of the host is 81% used, above 80%",
        ),
        (Fleet(now_ms=NOW_MS, agents_count=100, asleep_count=0, is_stopped=True), "emergency stop"),
        (
            Fleet(now_ms=NOW_MS, agents_count=100, asleep_count=0, open_breakers=frozenset({SLEEP_BREAKER})),
            "sleeps have failed too often (breaker open)",
        ),
        (
            Fleet(
                now_ms=NOW_MS,
                agents_count=100,
                asleep_count=0,
                moves=(Move(agent="agent-0", action=Action.WAKE, at_ms=NOW_MS - 599_999),),
            ),
            "it was told to wake less than 600 s ago",
        ),
    ],
    ids=["share asleep", "few awake", "pressure", "stopped", "breaker", "cooldown"],
)
def test_each_rule_forbids_a_sleep(fleet: Fleet, reason: str) -> None:
    assert reasons(decisions(Action.SLEEP, 1), fleet) == {reason}


def test_consolidations_have_their_own_bounds() -> None:
    fleet = Fleet(now_ms=NOW_MS, agents_count=100, asleep_count=30)
    assert len(permitted(decisions(Action.CONSOLIDATE, 15), fleet)) == RULES.consolidations_count
    broken = Fleet(now_ms=NOW_MS, agents_count=9, asleep_count=1, open_breakers=frozenset({CONSOLIDATION_BREAKER}))
    assert not permitted(decisions(Action.CONSOLIDATE, 1), broken)


def test_waking_is_held_back_by_nothing_but_the_stop_and_the_cooldown() -> None:
    pressed = Fleet(now_ms=NOW_MS, agents_count=9, asleep_count=9, pressure=Pressure(memory_share=1.0))
    assert len(permitted(decisions(Action.WAKE, 9), pressed)) == 9


def test_failures_open_breakers_for_a_while() -> None:
    five = [NOW_MS + 75_000 * place for place in range(5)]
    assert open_breakers({SLEEP_BREAKER: five}, five[-1]) == {SLEEP_BREAKER}
    assert open_breakers({SLEEP_BREAKER: five}, five[-1] + 600_000) == frozenset()
    assert open_breakers({SLEEP_BREAKER: five[:4]}, five[-1]) == frozenset()
    slow = [NOW_MS + 76_000 * place for place in range(5)]
    assert open_breakers({SLEEP_BREAKER: slow}, slow[-1]) == frozenset()
    assert open_breakers({CONSOLIDATION_BREAKER: five[:3]}, five[2]) == {CONSOLIDATION_BREAKER}


@given(
    asleep=st.integers(0, 40),
    actions=st.lists(st.sampled_from([Action.SLEEP, Action.WAKE, Action.CONSOLIDATE, Action.KEEP]), max_size=60),
    ago=st.lists(st.integers(0, 700_000), max_size=20),
)
def test_no_round_crosses_a_bound(asleep: int, actions: list[Action], ago: list[int]) -> None:
    found = [
        Decision(agent=f"agent-{place}", action=action, benefit=(place * 37 % 100) / 100, confidence=1.0, reasons=())
        for place, action in enumerate(actions)
    ]
    before = tuple(Move(agent=f"old-{one}", action=Action.SLEEP, at_ms=NOW_MS - one) for one in sorted(ago)[::-1])
    fleet = Fleet(now_ms=NOW_MS, agents_count=60, asleep_count=asleep, moves=before)
    allowed = [verdict.decision.action for verdict in judge(found, fleet, RULES) if verdict.is_permitted]
    slept, woken = allowed.count(Action.SLEEP), allowed.count(Action.WAKE)
    after = asleep + slept - woken
    if slept:
        assert after <= 0.3 * 60
        assert slept + sum(one < 300_000 for one in ago) <= 0.2 * 60
    assert allowed.count(Action.CONSOLIDATE) <= 10
    assert woken == actions.count(Action.WAKE)
