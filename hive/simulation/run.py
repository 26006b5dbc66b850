"""One simulated run: recorded arrivals, a pool, a scaler; and what it came to."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from hive.simulation.scalers import Scaler, View
from hive.simulation.station import Station
from hive.simulation.workload import Tasks, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What holds for every scaler alike.

    Attributes:
        start_delay_s: from the order of a slot until it serves; it costs from the order on.
        first_slots: that a scaler finds; what it makes of them before anything arrives is ready at once.
        patience: a run ends at the latest after this multiple of the recorded time, done or not.
    """

    start_delay_s: float = 5.0
    first_slots: int = 1
    patience: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run came to.

    Attributes:
        tasks: that arrived.
        unserved: of them that still waited at the end; they count with the wait they had then.
        wait_p50_s: half of the tasks waited no longer.
        wait_p95_s: 95 % waited no longer.
        wait_p99_s: 99 % waited no longer.
        wait_mean_s: mean wait.
        slot_seconds: paid for, from a slot's order to its end.
        utilisation: busy share of them.
        most_slots: at any decision.
        changes: of the size.
        sizes: (seconds, slots) at every change of the size.
        waits: (seconds, longest wait in seconds) of the tasks that arrived in each interval.
    """

    tasks: int
    unserved: int
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    wait_mean_s: float
    slot_seconds: float
    utilisation: float
    most_slots: int
    changes: int
    sizes: tuple[tuple[float, int], ...]
    waits: tuple[tuple[float, float], ...]


def simulate(workload: Workload, scaler: Scaler, conditions: Conditions, tasks: Tasks | None = None) -> Outcome:
    """Run a pool over recorded arrivals.

    Args:
        workload: what arrives.
        scaler: who sizes the pool; used for this run only.
        conditions: of the run.
        tasks: those of the workload, drawn beforehand for several runs; unset: drawn here.

    Returns:
        What it came to; the same arguments give the same outcome.
    """
    drawn = workload.drawn() if tasks is None else tasks
    first = scaler.decide(_view(Station(conditions.first_slots), 0.0, 0))
    station = Station(first, start_delay_s=conditions.start_delay_s, samples=scaler.samples)
    sizes = [(0.0, first)]
    now_s, arrived = 0.0, 0
    length_s, every_s = workload.length_s, scaler.every_s
    limit_s = length_s * conditions.patience
    while now_s < limit_s and (now_s < length_s or station.backlog):
        now_s += every_s
        upto = bisect_left(drawn.arrivals_s, now_s, arrived)
        station.arrive(zip(drawn.arrivals_s[arrived:upto], drawn.services_s[arrived:upto], strict=True))
        arrived = upto
        station.advance(now_s)
        target = scaler.decide(_view(station, now_s, arrived))
        if target != station.slots:
            station.resize(target)
            sizes.append((now_s, target))
    unserved = station.give_up()
    waits = longest_waits(drawn.arrivals_s, station.waits_s, workload.series.step_s)
    return _outcome(station, sizes, unserved, waits)


def _view(station: Station, now_s: float, arrived: int) -> View:
    return View(
        now_s=now_s,
        slots=station.slots,
        busy=station.busy,
        backlog=station.backlog,
        oldest_wait_s=station.oldest_wait_s,
        arrived=arrived,
        ended_s=station.ended(),
    )


def longest_waits(arrivals_s: Sequence[float], waits_s: Sequence[float], step_s: float) -> list[tuple[float, float]]:
    """Return the longest wait of each interval; first come, first served, so that waits stand as arrivals do."""
    found: list[tuple[float, float]] = []
    place = 0
    while place < len(waits_s):
        begin_s = arrivals_s[place] // step_s * step_s
        upto = max(place + 1, bisect_left(arrivals_s, begin_s + step_s, place))
        found.append((begin_s, max(waits_s[place:upto])))
        place = upto
    return found


def quantile(ranked: Sequence[float], share: float) -> float:
    """Return the least of some rising values that ``share`` (0..1) of them do not exceed; 0 of none."""
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else 0.0


def _outcome(
    station: Station, sizes: list[tuple[float, int]], unserved: int, waits: list[tuple[float, float]]
) -> Outcome:
    ranked = sorted(station.waits_s)
    return Outcome(
        tasks=len(ranked),
        unserved=unserved,
        wait_p50_s=quantile(ranked, 0.5),
        wait_p95_s=quantile(ranked, 0.95),
        wait_p99_s=quantile(ranked, 0.99),
        wait_mean_s=math.fsum(ranked) / len(ranked) if ranked else 0.0,
        slot_seconds=station.slot_seconds,
        utilisation=station.busy_seconds / station.slot_seconds if station.slot_seconds else 0.0,
        most_slots=max(slots for _, slots in sizes),
        changes=len(sizes) - 1,
        sizes=tuple(sizes),
        waits=tuple(waits),
    )
