"""What the scaling policy promises, whatever it is shown."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.errors import SettingsError
from hive.scaling import Decision, Observation, Reason, ScalingRules, ScalingState, decide
from hive.scaling.policy import upper_bound, wanted_slots

rules_ = st.builds(
    lambda minimum, more, **others: ScalingRules(minimum=minimum, maximum=max(1, minimum + more), **others),
    minimum=st.integers(0, 20),
    more=st.integers(0, 200),
    target_wait_s=st.floats(0.1, 60),
    late_share=st.floats(0.001, 0.5),
    headroom=st.floats(0, 1),
    plan_ahead_s=st.floats(1, 120),
    in_advance=st.booleans(),
    caution=st.floats(0, 1),
    follow=st.floats(0, 1),
    hysteresis=st.floats(0, 0.5),
    stabilisation_s=st.floats(0, 300),
    grow_factor=st.floats(1, 4),
    grow_slots=st.integers(1, 20),
    shrink_share=st.floats(0.05, 1),
    grow_cooldown_s=st.floats(0, 60),
    shrink_cooldown_s=st.floats(0, 60),
)
rates = st.floats(0, 100)
seen_ = st.builds(
    Observation,
    now_s=st.floats(0, 100),
    slots=st.integers(0, 300),
    busy=st.integers(0, 300),
    backlog=st.integers(0, 5_000),
    oldest_wait_s=st.floats(0, 600),
    arrivals_per_s=rates,
    forecast_per_s=st.none() | rates,
    forecast_high_per_s=st.none() | rates,
    service_s=st.none() | st.floats(0.001, 100),
    service_high_s=st.none() | st.floats(0.001, 300),
    room=st.none() | st.integers(0, 300),
)


@given(rules_, seen_)
def test_a_target_lies_within_its_bounds_and_its_steps(rules: ScalingRules, seen: Observation) -> None:
    decision, _ = decide(rules, ScalingState(), seen)
    assert rules.minimum <= decision.target <= upper_bound(rules, seen)
    if decision.reason is not Reason.MINIMUM:
        assert decision.target <= max(seen.slots * rules.grow_factor, seen.slots + rules.grow_slots)
    if decision.reason is not Reason.MAXIMUM:
        assert decision.target >= seen.slots - max(1, seen.slots * rules.shrink_share)
    assert decision.change == decision.target - seen.slots
    assert decision.described()["reason"] == str(decision.reason)


@given(rules_, seen_, st.integers(0, 5_000), st.floats(0, 600))
def test_more_waiting_never_asks_for_fewer_slots(
    rules: ScalingRules, seen: Observation, more: int, longer_s: float
) -> None:
    worse = replace(seen, backlog=seen.backlog + more, oldest_wait_s=seen.oldest_wait_s + longer_s)
    assert decide(rules, ScalingState(), worse)[0].target >= decide(rules, ScalingState(), seen)[0].target


@given(rules_, st.lists(st.tuples(st.floats(0.1, 30), seen_), min_size=2, max_size=25))
def test_cooldowns_and_the_window_hold_over_time(rules: ScalingRules, shown: list[tuple[float, Observation]]) -> None:
    state, now_s, slots = ScalingState(), 0.0, rules.minimum
    made: list[Decision] = []
    for pause_s, seen in shown:
        now_s += pause_s
        decision, state = decide(rules, state, replace(seen, now_s=now_s, slots=slots, room=None))
        slots = decision.target
        made.append(decision)
    for place, decision in enumerate(made):
        at_s, before = decision.observation.now_s, made[:place]
        grown = [one.observation.now_s for one in before if one.change > 0]
        shrunk = [one.observation.now_s for one in before if one.change < 0]
        if decision.change > 0:
            assert all(at_s - then_s >= rules.grow_cooldown_s for then_s in grown)
        if decision.change < 0:
            assert all(at_s - then_s >= rules.shrink_cooldown_s for then_s in grown + shrunk)
            window = [one for one in [*before, decision] if at_s - one.observation.now_s <= rules.stabilisation_s]
            assert decision.target >= max(one.wanted for one in window)
    assert len(state.wanted) <= len(shown)


@pytest.mark.parametrize("rate", [2.0, 10.0, 60.0])
def test_noise_within_the_hysteresis_never_shrinks_a_pool_and_seldom_grows_it(rate: float, rng: random.Random) -> None:
    rules = ScalingRules(maximum=500, hysteresis=0.25, stabilisation_s=30.0)
    state, slots, changes = ScalingState(), 1, []
    for second in range(0, 3_600, 5):
        late = rate * rng.uniform(0.92, 1.08)
        seen = Observation(
            now_s=float(second), slots=slots, busy=min(slots, round(2 * late)), backlog=rng.randrange(2),
            arrivals_per_s=late, service_s=2.0, service_high_s=6.0,
        )  # fmt: skip
        decision, state = decide(rules, state, seen)
        slots = decision.target
        if decision.change and second > 120:
            changes.append(decision)
    assert all(one.change > 0 for one in changes)
    assert len(changes) <= 5
    assert slots > 2 * rate, "busy slots alone would let tasks wait"


def test_a_burst_is_met_within_steps_and_left_after_the_window() -> None:
    rules = ScalingRules(maximum=100, target_wait_s=5.0, stabilisation_s=30.0, grow_slots=50)
    idle = Observation(now_s=0.0, slots=1, busy=0, backlog=0, service_s=0.05, service_high_s=0.05)
    decision, state = decide(rules, ScalingState(), idle)
    assert (decision.target, decision.reason) == (1, Reason.STEADY)
    burst = replace(idle, now_s=1.0, backlog=2_000, arrivals_per_s=30.0)
    decision, state = decide(rules, state, burst)
    assert (decision.reason, decision.target) == (Reason.BACKLOG, 22), "2,000 x 50 ms in 5 s, and what still comes"
    calm = replace(idle, slots=decision.target)
    reasons, shrunk = [], []
    for now_s in range(2, 100):
        decision, state = decide(rules, state, replace(calm, now_s=float(now_s), slots=decision.target))
        reasons.append(decision.reason)
        shrunk += [now_s] if decision.change else []
    assert reasons[0] is Reason.STABILISATION
    assert Reason.IDLE in reasons
    assert shrunk == [32, 42, 52, 62, 72], "halved at each, after the window and every cooldown"
    assert decision.target == 1


def test_a_forecast_grows_the_pool_before_anything_arrives() -> None:
    rules = ScalingRules(maximum=100, caution=0.5)
    calm = Observation(now_s=0.0, slots=1, busy=0, backlog=0, service_s=2.0)
    coming = replace(calm, forecast_per_s=2.0, forecast_high_per_s=6.0)
    assert decide(rules, ScalingState(), calm)[0].target == 1
    assert decide(rules, ScalingState(), coming)[0].target > 8
    low = replace(coming, forecast_per_s=0.0, forecast_high_per_s=0.0, arrivals_per_s=4.0, slots=12)
    trusting = replace(rules, follow=0.0)
    assert (
        decide(trusting, ScalingState(), low)[0].wanted
        < decide(replace(rules, follow=1.0), ScalingState(), low)[0].wanted
    )


@given(seen_)
def test_the_minimum_wins_over_the_room_and_zero_is_allowed(seen: Observation) -> None:
    strict = ScalingRules(minimum=3, maximum=10)
    assert decide(strict, ScalingState(), replace(seen, room=0))[0].target == 3
    quiet = replace(seen, busy=0, backlog=0, arrivals_per_s=0.0, forecast_per_s=None)
    assert decide(ScalingRules(minimum=0), ScalingState(), quiet)[0].wanted == 0


def test_rules_that_contradict_one_another_are_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="maximum 1 is below 1 or the minimum 2"):
        ScalingRules(minimum=2, maximum=1)
    with pytest.raises(SettingsError, match="late_share is above 0 and below 1; hysteresis"):
        ScalingRules(late_share=0.0, hysteresis=1.0)


def test_where_a_slot_can_start_in_time_none_is_kept_waiting_for_rare_tasks() -> None:
    rare = Observation(now_s=0.0, slots=1, busy=0, backlog=0, arrivals_per_s=0.1, service_s=1.0)
    patient = ScalingRules(minimum=0, target_wait_s=20.0, plan_ahead_s=10.0)
    assert decide(patient, ScalingState(), rare)[0].wanted == 0
    assert decide(patient, ScalingState(), replace(rare, backlog=1))[0].wanted == 1
    assert decide(replace(patient, target_wait_s=2.0), ScalingState(), rare)[0].wanted >= 1


def test_without_slots_in_advance_a_pool_follows_only_what_is_there() -> None:
    rules = ScalingRules(minimum=0, target_wait_s=1.0, plan_ahead_s=6.0, in_advance=False)
    quiet = Observation(now_s=0.0, slots=0, busy=0, backlog=0, arrivals_per_s=5.0, forecast_per_s=5.0, service_s=2.0)
    assert wanted_slots(rules, quiet)[0] == 0
    assert wanted_slots(replace(rules, in_advance=True), quiet)[0] > 0
    assert wanted_slots(rules, replace(quiet, backlog=1, oldest_wait_s=0.5))[0] == 1


def test_a_lean_pool_gives_back_at_once_what_it_has_no_tasks_for() -> None:
    rules = ScalingRules(minimum=0, target_wait_s=1.0, plan_ahead_s=6.0)
    state = decide(rules, ScalingState(), Observation(now_s=0.0, slots=8, busy=8, backlog=8, service_s=2.0))[1]
    ended = Observation(now_s=2.0, slots=8, busy=1, backlog=0, arrivals_per_s=0.5, service_s=2.0)
    assert decide(rules, state, ended)[0].target == 8, "others keep what was wanted a moment ago"
    assert decide(rules.lean(), state, ended)[0].target == 1
    assert decide(rules.lean(), state, replace(ended, busy=0))[0].target == 0


def test_a_wait_presses_only_once_the_slots_ordered_for_it_could_serve() -> None:
    rules = ScalingRules(minimum=0, target_wait_s=3.0, plan_ahead_s=6.0)
    burst = Observation(now_s=0.0, slots=0, busy=0, backlog=60, service_s=1.0)
    at_once, starting, late = (wanted_slots(rules, replace(burst, oldest_wait_s=age_s))[0] for age_s in (0.0, 5.5, 8.0))
    assert at_once == starting == 20, "60 s of work within the target"
    assert late == 60
