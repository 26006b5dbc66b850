"""A simulated week of sleepers: the scheduler's own decisions, and a watch that shares nothing with them."""

import pytest

from hive.settings.scheduler import SchedulerSettings
from hive.simulation import sleepers
from hive.simulation.sleepers import Load, Terms, simulate_sleep, week_of_agents

BOUNDLESS = SchedulerSettings(asleep_share=1.0, awake_count=0, sleeps_share=1.0)
OFFICE = [12.0 if 9 * 12 <= place < 17 * 12 else 0.0 for place in range(288)]
QUIET = [0.0] * 288
HOURS = 72


def test_sleeps_by_night_within_the_bounds_and_wakes_ahead() -> None:
    outcome = simulate_sleep(week_of_agents([OFFICE, QUIET], 20, HOURS, seed=3), Terms())
    assert outcome.violations == []
    assert outcome.most_asleep_share == pytest.approx(0.3)
    assert outcome.asleep_h > 0.2 * 20 * (HOURS - 8)
    assert outcome.held_back["at most 30% of 20 agents sleep"] > 0


def test_what_wakes_are_missed_and_tokens_saved() -> None:
    loads = [Load(agent=f"a{place}", counts=OFFICE * 3) for place in range(4)]
    outcome = simulate_sleep(loads, Terms(settings=BOUNDLESS))
    assert outcome.actions["sleep"] >= 4 * 2, "each agent sleeps by night"
    assert 0 < outcome.missed_wakes_count + outcome.actions["wake"] <= outcome.actions["sleep"]
    assert outcome.missed_wakes_count <= 4 * 3, "at most one each morning"
    assert outcome.saved_tokens == pytest.approx(0.5 * 500 * 12 * 96 * outcome.actions["consolidate"], rel=0.5)


def test_the_watch_sees_rules_that_are_crossed(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(decisions, fleet, rules):
        return judged(decisions, fleet, BOUNDLESS.model_copy(update={"cooldown_s": 1.0}))

    judged = sleepers.judge
    monkeypatch.setattr(sleepers, "judge", careless)
    outcome = simulate_sleep(week_of_agents([QUIET], 20, 6, seed=1), Terms())
    assert any("asleep at" in violation for violation in outcome.violations)
    assert any("sleeps within" in violation for violation in outcome.violations)
    assert any("awake at" in violation for violation in outcome.violations)


def test_refuses_recordings_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="one length"):
        simulate_sleep([Load(agent="a", counts=[1.0]), Load(agent="b", counts=[])], Terms())
