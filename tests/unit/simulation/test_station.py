"""The simulated queue: exact starts, nobody stopped, every slot paid for; and Erlang's formula confirmed by it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.scaling.staffing import least_slots, pace
from hive.simulation import Station

tasks_ = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 30)), max_size=60).map(sorted)


def slow_reference(
    tasks: list[tuple[int, int]], sizes: list[int], tick_s: int, delay_s: int
) -> tuple[list[float], float]:
    """Step through time in tenths of seconds: waits, and slot-seconds of the ticks."""
    slots: list[list[float]] = [[0.0, 0.0] for _ in range(sizes[0])]
    waiting, waits, paid, draining = list(tasks), [], 0.0, []
    for number, size in enumerate(sizes):
        for moment in range(number * tick_s, (number + 1) * tick_s):
            paid += len(slots)
            while waiting and waiting[0][0] <= moment and any(slot[0] <= moment for slot in slots):
                arrival, service = waiting.pop(0)
                next(slot for slot in slots if slot[0] <= moment)[0] = moment + service
                waits.append(moment - arrival)
        now = (number + 1) * tick_s
        target = sizes[number + 1] if number + 1 < len(sizes) else size
        slots.sort()
        while len(slots) > target:
            draining.append(max(0.0, slots.pop(0)[0] - now))
        slots += [[now + delay_s, 0.0] for _ in range(target - len(slots))]
    return waits, paid + sum(draining)


@given(tasks_, st.lists(st.integers(0, 6), min_size=2, max_size=12), st.sampled_from([1, 5, 10]), st.integers(0, 8))
def test_waits_and_cost_are_those_of_a_second_by_second_simulation(
    tasks: list[tuple[int, int]], sizes: list[int], tick_s: int, delay_s: int
) -> None:
    station = Station(sizes[0], start_delay_s=float(delay_s))
    place = 0
    for number in range(len(sizes)):
        now = (number + 1) * tick_s
        arrived = [task for task in tasks[place:] if task[0] < now]
        place += len(arrived)
        station.arrive((float(arrival), float(service)) for arrival, service in arrived)
        station.advance(float(now))
        station.resize(sizes[min(number + 1, len(sizes) - 1)])
        assert 0 <= station.busy <= station.slots
    waits, paid = slow_reference(tasks, sizes, tick_s, delay_s)
    assert list(station.waits_s) == waits
    assert station.slot_seconds == pytest.approx(paid)
    assert station.backlog == place - len(waits)


def test_a_fast_station_takes_half_the_time_and_ended_times_are_told_only_afterwards() -> None:
    station = Station(1, speed=2.0)
    station.arrive([(0.0, 8.0), (1.0, 8.0)])
    station.advance(3.0)
    assert (station.busy, station.backlog, station.oldest_wait_s, station.ended()) == (1, 1, 2.0, [])
    station.advance(6.0)
    assert (list(station.waits_s), station.ended()) == ([0.0, 3.0], [4.0])
    assert station.give_up() == 0


def test_those_who_wait_at_the_end_count_with_their_wait() -> None:
    station = Station(0)
    station.arrive([(1.0, 1.0), (4.0, 1.0)])
    station.advance(10.0)
    assert station.give_up() == 2
    assert list(station.waits_s) == [9.0, 6.0]


@pytest.mark.parametrize(("demand", "target_wait_s"), [(0.7, 0.5), (3.0, 1.0), (8.0, 1.0)])
def test_erlang_s_staffing_keeps_the_promise_and_one_slot_less_does_not(
    demand: float, target_wait_s: float, rng: random.Random
) -> None:
    slots = least_slots(demand, 1.0, target_wait_s, 0.05, 100)
    late = []
    for size in (slots, slots - 1):
        station, now_s, tasks = Station(size), 0.0, []
        for _ in range(60_000):
            now_s += rng.expovariate(demand)
            tasks.append((now_s, rng.expovariate(1.0)))
        station.arrive(tasks)
        station.advance(now_s + 1e6)
        late.append(sum(wait_s > target_wait_s for wait_s in station.waits_s) / len(station.waits_s))
    assert late[0] <= 0.04
    assert late[1] > 0.045


def test_staffing_bounds() -> None:
    assert least_slots(0.0, 1.0, 1.0, 0.01, 10) == 0
    assert least_slots(50.0, 1.0, 1.0, 0.01, 10) == 10
    assert pace(2.0, None) == 2.0
    assert pace(2.0, 6.0) == pytest.approx(2.0)
    assert pace(2.0, 2.0) < 2.0 < pace(2.0, 30.0)
