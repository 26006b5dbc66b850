"""Scalers in a simulation: the baselines do what they document, hive's policy what it promises; runs repeat."""

import math

import pytest

from hive.errors import InputError
from hive.learning import Series
from hive.scaling import ScalingRules
from hive.simulation import (
    CeleryAutoscaler,
    Conditions,
    FixedSize,
    HiveScaler,
    ListLength,
    Outcome,
    ServiceTimes,
    View,
    Workload,
    simulate,
)
from hive.simulation.baselines import candidates, stock
from hive.simulation.scalers import outlooks
from hive.simulation.workload import read_service_times

IDLE = View(now_s=0.0, slots=1, busy=0, backlog=0, oldest_wait_s=0.0, arrived=0, ended_s=())
TIMER = Series(name="timer", values=tuple(60.0 * (minute % 10 == 0) for minute in range(300)), step_s=60.0)


def test_celery_s_autoscaler_grows_to_what_is_reserved_and_shrinks_only_after_quiet() -> None:
    scaler = CeleryAutoscaler(1, 10, keepalive_s=30.0)
    assert scaler.decide(IDLE._replace(backlog=100, arrived=100)) == 10
    busy = IDLE._replace(slots=10, busy=3, arrived=101)
    assert scaler.decide(busy._replace(now_s=20.0)) == 10, "a task came in just now"
    assert scaler.decide(busy._replace(now_s=49.0)) == 10
    assert scaler.decide(busy._replace(now_s=51.0)) == 3
    assert scaler.decide(IDLE._replace(slots=3, now_s=90.0, arrived=101)) == 1


def test_celery_sees_no_more_than_it_may_reserve() -> None:
    scaler = CeleryAutoscaler(1, 2, prefetch_multiplier=1)
    assert scaler.decide(IDLE._replace(backlog=1_000)) == 2


def test_list_length_follows_the_list_and_waits_for_its_window() -> None:
    scaler = ListLength(0, 10, target=5.0, window_s=60.0)
    assert scaler.decide(IDLE._replace(backlog=12)) == 3
    assert scaler.decide(IDLE._replace(slots=3, now_s=30.0)) == 3
    assert scaler.decide(IDLE._replace(slots=3, now_s=61.0)) == 0
    assert scaler.decide(IDLE._replace(slots=4, now_s=90.0, backlog=21)) == 4, "within the tolerance"
    assert ListLength(0, 10, target=1.0).decide(IDLE._replace(busy=7)) == 0, "of Celery's lists running tasks are gone"
    assert ListLength(0, 10, target=1.0, counts_running=True).decide(IDLE._replace(busy=7)) == 7


def run(scaler: FixedSize | HiveScaler | CeleryAutoscaler, service_s: float = 5.0, seed: int = 1) -> Outcome:
    workload = Workload(series=TIMER, service=ServiceTimes.fixed(service_s), seed=seed)
    return simulate(workload, scaler, Conditions(start_delay_s=5.0))


def test_a_run_counts_every_task_pays_every_slot_and_repeats() -> None:
    first, again, other = run(FixedSize(slots=7)), run(FixedSize(slots=7)), run(FixedSize(slots=7), seed=2)
    assert first == again
    assert first != other
    assert (first.tasks, first.unserved, first.most_slots, first.changes) == (1_800, 0, 7, 0)
    assert first.slot_seconds == pytest.approx(7 * 18_000)
    assert first.utilisation == pytest.approx(1_800 * 5 / first.slot_seconds)
    assert first.wait_p50_s <= first.wait_p95_s <= first.wait_p99_s <= max(wait_s for _, wait_s in first.waits)
    hopeless = run(FixedSize(slots=1), service_s=60.0)
    assert hopeless.unserved > 0
    assert hopeless.wait_p99_s > 1_000


def test_hive_foresees_a_timer_and_beats_itself_without_a_forecast() -> None:
    rules = ScalingRules(minimum=0, maximum=100, target_wait_s=2.0, stabilisation_s=15.0, plan_ahead_s=10.0)
    seeing = run(HiveScaler(rules, outlooks(TIMER), start_delay_s=5.0))
    blind = run(HiveScaler(rules, start_delay_s=5.0))
    assert seeing.unserved == blind.unserved == 0
    assert seeing.wait_p95_s < 0.5 * blind.wait_p95_s
    assert seeing.slot_seconds < run(FixedSize(slots=9)).slot_seconds * 0.5


def test_a_scaler_is_shown_nothing_of_the_future() -> None:
    changed = Series(name="timer", values=(*TIMER.values[:200], *(500.0,) * 100), step_s=60.0)
    assert outlooks(TIMER)[:200] == outlooks(changed)[:200]
    rules = ScalingRules(minimum=0)
    sizes = []
    for series in (TIMER, changed):
        workload = Workload(series=series, service=ServiceTimes.fixed(5.0))
        outcome = simulate(workload, HiveScaler(rules, outlooks(series), start_delay_s=5.0), Conditions())
        sizes.append([size for size in outcome.sizes if size[0] <= 12_000.0])
    assert sizes[0] == sizes[1]


def test_baselines_come_in_three_kinds_each_fresh_for_a_run() -> None:
    assert [one.kind for one in stock(1, 10, 2.0)] == ["Celery", "KEDA", "fixed"]
    tried = candidates(0, 10, 2.0)
    assert len({(one.kind, one.setting) for one in tried}) == len(tried) > 20
    assert all(one.make() is not one.make() for one in tried)


def test_service_times_are_drawn_as_their_quantiles_say() -> None:
    lines = [
        "HashFunction,Average,percentile_Average_0,percentile_Average_50,percentile_Average_100",
        "a,9,1000,2000,8000",
    ]
    service = read_service_times(lines)["a"]
    assert service.mean_s == pytest.approx(3.25)
    workload = Workload(series=Series(name="x", values=(5_000.0,), step_s=60.0), service=service)
    drawn = workload.drawn()
    assert sum(drawn.services_s) / 5_000 == pytest.approx(3.25, rel=0.05)
    assert sum(one < 2.0 for one in drawn.services_s) / 5_000 == pytest.approx(0.5, abs=0.03)
    assert list(drawn.arrivals_s) == sorted(drawn.arrivals_s)
    assert workload.demand == pytest.approx(5_000 * 3.25 / 60)
    with pytest.raises(InputError, match="row 2 holds no quantiles"):
        read_service_times(["HashFunction,percentile_Average_0", "a,fast"])
    with pytest.raises(ValueError, match="rise"):
        ServiceTimes(shares=(0.0, 1.0), times_s=(2.0, math.e / 2))
