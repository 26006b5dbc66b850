"""How a fleet's budget is divided, and what that does to sizes."""

import random

from hypothesis import given
from hypothesis import strategies as st

from hive.scaling import Observation, Reason, ScalingRules, ScalingState
from hive.scaling.fleet import PoolView, plan
from hive.scaling.share import Budget, Wish, share

wishes_ = st.lists(
    st.builds(
        lambda number, minimum, more, memory_mb, cores: Wish(
            agent_type=f"type{number}",
            minimum=minimum,
            wanted=minimum + more,
            memory_mb=memory_mb / 2,
            cores=cores / 2,
        ),
        number=st.integers(0, 99),
        minimum=st.integers(0, 3),
        more=st.integers(0, 30),
        memory_mb=st.integers(0, 200),
        cores=st.integers(0, 4),
    ),
    max_size=8,
    unique_by=lambda wish: wish.agent_type,
)
budgets_ = st.builds(
    Budget,
    memory_mb=st.none() | st.integers(0, 2_000).map(float),
    cores=st.none() | st.integers(0, 40).map(float),
)


def _used(wishes: list[Wish], granted: dict[str, int]) -> tuple[float, float]:
    return (
        sum(wish.memory_mb * granted[wish.agent_type] for wish in wishes),
        sum(wish.cores * granted[wish.agent_type] for wish in wishes),
    )


@given(wishes_, budgets_, st.randoms(use_true_random=False))
def test_a_share_keeps_to_budget_and_bounds_and_leaves_nothing_that_fits(
    wishes: list[Wish], budget: Budget, order: random.Random
) -> None:
    granted = share(budget, wishes)
    memory_mb, cores = _used(wishes, granted)
    least = _used(wishes, {wish.agent_type: wish.minimum for wish in wishes})
    most_memory = float("inf") if budget.memory_mb is None else max(budget.memory_mb, least[0])
    most_cores = float("inf") if budget.cores is None else max(budget.cores, least[1])
    assert memory_mb <= most_memory
    assert cores <= most_cores
    for wish in wishes:
        assert wish.minimum <= granted[wish.agent_type] <= wish.wanted
        if granted[wish.agent_type] < wish.wanted:
            # Work-conserving: one more would not have fitted.
            memory_left = (float("inf") if budget.memory_mb is None else budget.memory_mb) - memory_mb
            cores_left = (float("inf") if budget.cores is None else budget.cores) - cores
            assert wish.memory_mb > memory_left or wish.cores > cores_left
    shuffled = list(wishes)
    order.shuffle(shuffled)
    assert share(budget, shuffled) == granted


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 100))
def test_all_get_the_same_part_of_what_they_want(wanted: list[int], budget: int) -> None:
    wishes = [Wish(agent_type=str(n), minimum=0, wanted=count, memory_mb=1) for n, count in enumerate(wanted)]
    granted = share(Budget(memory_mb=budget), wishes)
    part = min(budget / sum(wanted), 1.0)
    for wish in wishes:
        # Off the exact part by less than the rounding of whole workers, of which there is one for each type.
        assert abs(granted[wish.agent_type] - part * wish.wanted) <= 1 + wish.wanted * len(wanted) / sum(wanted)


def _pool(name: str, workers: int, backlog: int, override: int | None = None, busy: int = 0) -> PoolView:
    seen = Observation(now_s=100.0, slots=workers * 4, busy=busy, backlog=backlog, service_s=1.0)
    rules = ScalingRules(minimum=4, maximum=80, target_wait_s=2.0)
    return PoolView(agent_type=name, rules=rules, slots_each=4, seen=seen, override=override, memory_mb=100)


def _sizes(pools: list[PoolView], budget: Budget, states: dict[str, ScalingState] | None = None) -> dict[str, int]:
    return {one.agent_type: one.workers for one in plan(pools, states or {}, budget)[0]}


def test_demand_gets_workers_and_none_gets_the_minimum() -> None:
    assert _sizes([_pool("busy", 1, 16), _pool("idle", 1, 0)], Budget()) == {"busy": 2, "idle": 1}


def test_the_budget_cuts_what_is_wanted_at_once_and_is_shared() -> None:
    # Both want 20 workers; there is memory for 8 of both together.
    pools = [_pool("one", 10, 400, busy=40), _pool("other", 1, 400, busy=4)]
    decided, _ = plan(pools, {}, Budget(memory_mb=800))
    assert {one.agent_type: one.workers for one in decided} == {"one": 4, "other": 4}
    assert decided[0].decision.reason is Reason.MAXIMUM


def test_what_nobody_else_wants_may_be_kept_for_as_long_as_the_policy_waits() -> None:
    # It has wanted eight workers just now: the window keeps them, and the budget does not hasten it ...
    states = {"was_busy": ScalingState(wanted=((99.0, 32),))}
    assert _sizes([_pool("was_busy", 8, 0), _pool("idle", 1, 0)], Budget(memory_mb=900), states)["was_busy"] == 8
    # ... unless somebody is in need.
    sizes = _sizes([_pool("was_busy", 8, 0), _pool("in_need", 4, 400, busy=16)], Budget(memory_mb=900), states)
    assert sizes == {"was_busy": 1, "in_need": 8}


def test_what_somebody_asks_for_holds_within_bounds_and_budget() -> None:
    decided, states = plan([_pool("asked", 1, 0, override=12)], {}, Budget())
    assert (decided[0].workers, decided[0].decision.reason, decided[0].override) == (3, Reason.OVERRIDE, 12)
    assert _sizes([_pool("asked", 5, 400, override=2, busy=20)], Budget()) == {"asked": 1}
    assert _sizes([_pool("asked", 1, 0, override=1_000)], Budget()) == {"asked": 20}
    assert _sizes([_pool("asked", 1, 0, override=1_000)], Budget(memory_mb=500)) == {"asked": 5}
    assert plan([_pool("asked", 1, 0)], states, Budget())[0][0].override is None
