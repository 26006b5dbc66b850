"""Routing strategies over simulated workers: nobody is idle while others wait, unequal workers show, runs repeat."""

from dataclasses import replace

import pytest

from hive.learning import Series
from hive.routing.named import STRATEGIES, strategy_of
from hive.simulation import Crew, RouteOutcome, ServiceTimes, Workload, route

BUSY = Workload(
    series=Series(name="busy", values=(100.0, 140.0, 60.0, 120.0) * 5, step_s=60.0),
    service=ServiceTimes(shares=(0.0, 0.9, 1.0), times_s=(0.5, 4.0, 30.0)),
)
CREW = Crew(workers=10, slots=1)


def run(name: str, crew: Crew = CREW) -> RouteOutcome:
    return route(BUSY, strategy_of(name), crew)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_strategy_serves_every_task_and_repeats(name: str) -> None:
    outcome = run(name)
    assert outcome == run(name)
    assert outcome.tasks == BUSY.series.total
    assert outcome.in_lanes in (0.0, 1.0)
    assert 0.0 <= outcome.wait_p50_s <= outcome.wait_p95_s <= outcome.wait_p99_s < outcome.sojourn_p99_s
    assert outcome.wait_p99_s <= max(wait_s for _, wait_s in outcome.waits)
    assert outcome.utilisation == pytest.approx(sum(BUSY.drawn().services_s) / (10 * BUSY.length_s), rel=0.05)


def test_the_shared_queue_waits_as_one_line_before_all_slots() -> None:
    """Whoever is free takes the oldest: an exact simulation of one line says the same."""
    arrivals_s, services_s = BUSY.drawn().arrivals_s, BUSY.drawn().services_s
    free_s, waits = [0.0] * 10, []
    for arrival_s, service_s in zip(arrivals_s, services_s, strict=True):
        free_s.sort()
        begin_s = max(arrival_s, free_s[0])
        free_s[0] = begin_s + service_s
        waits.append(begin_s - arrival_s)
    assert run("shared").wait_p99_s == pytest.approx(sorted(waits)[-(-99 * len(waits) // 100) - 1])


def test_blind_turns_wait_longest_where_workers_are_unequal() -> None:
    steady = Workload(series=Series(name="steady", values=(300.0,) * 15, step_s=60.0), service=ServiceTimes.fixed(6.0))
    unequal = Crew(workers=20, slots=2, slow=4)
    p99_s = {name: route(steady, strategy_of(name), unequal).wait_p99_s for name in ("shared", "round_robin")}
    alike = route(steady, strategy_of("round_robin"), replace(unequal, slow=0)).wait_p99_s
    assert p99_s["shared"] < 0.5 * p99_s["round_robin"]
    assert alike < 0.5 * p99_s["round_robin"]


def test_an_idle_worker_steals_from_a_long_lane() -> None:
    stealing, hoarding = run("round_robin"), run("round_robin", replace(CREW, keep_per_slot=1e6))
    assert stealing.stolen > 0 == hoarding.stolen
    assert stealing.wait_p99_s < hoarding.wait_p99_s
