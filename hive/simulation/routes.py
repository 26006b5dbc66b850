"""Simulated workers to whom a routing strategy sends tasks: the objects that callers route with, by figures as old as theirs.

Workers report every second; callers see a report until the next one comes, and count what they have sent since. A worker
takes what waits in its lane, then what waits in the shared queue, and steals, when idle, from the lane that was longest at
the last report. Not modelled: the time that messages take, deaths, what strategies know of a task beside its arrival (a key,
a kind, needs), so that those that go by it decide as they do for a task without.
"""

import random
from array import array
from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

from hive.agents.types import AgentType
from hive.routing.candidates import Call, Pool, Worker
from hive.routing.stealing import longest_lane
from hive.routing.strategy import Strategy
from hive.settings.parts import RoutingSettings
from hive.simulation.run import longest_waits, quantile
from hive.simulation.workload import Workload

#: Seconds between two reports of a worker.
REPORT_EVERY_S = 1.0
_TYPE = AgentType(name="simulated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The workers that serve, and who sends to them.

    Attributes:
        workers: how many.
        slots: of each.
        slow: how many of them take ``slow_times`` as long for a task.
        slow_times: see there.
        callers: processes that send, each counting only what it has sent itself.
        keep_per_slot: tasks that a lane keeps for each slot of its worker in a full pool, less in an idle one.
    """

    workers: int
    slots: int = 1
    slow: int = 0
    slow_times: float = 4.0
    callers: int = 8
    keep_per_slot: float = RoutingSettings().keep_per_slot


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteOutcome:
    """What a strategy came to; times in seconds.

    Attributes:
        tasks: that were done.
        wait_p50_s: half of them waited no longer for a slot.
        wait_p95_s: 95 % waited no longer.
        wait_p99_s: 99 % waited no longer.
        sojourn_p99_s: 99 % were done within it.
        utilisation: share of the slots that were busy until the last task was done.
        in_lanes: share of the tasks that were sent to a worker; the others went to the shared queue.
        stolen: tasks that another worker took out of a lane.
        waits: (seconds, longest wait) of the tasks that arrived in each interval.
    """

    tasks: int
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    sojourn_p99_s: float
    utilisation: float
    in_lanes: float
    stolen: int
    waits: tuple[tuple[float, float], ...]


class _Station:
    """One worker; tasks are numbers."""

    __slots__ = ("busy", "finished", "lane", "name", "slots", "times", "worked_s")

    def __init__(self, name: str, slots: int, times: float) -> None:
        self.name, self.slots, self.times = name, slots, times
        self.busy = self.finished = 0
        self.worked_s = 0.0
        self.lane: deque[int] = deque()

    def report(self) -> Worker:
        rate = self.finished / self.worked_s if self.worked_s else None
        return Worker(name=self.name, slots=self.slots, busy=self.busy, queued=len(self.lane), rate=rate)


class _Run:
    def __init__(self, workload: Workload, strategy: Strategy, crew: Crew) -> None:
        self._strategy, self._keep_per_slot = strategy, crew.keep_per_slot
        tasks = workload.drawn()
        self.arrivals_s, self._services_s = tasks.arrivals_s, tasks.services_s
        self._rng = random.Random(f"routes {workload.seed}")  # noqa: S311 - a seeded draw can be repeated
        self.stations = [
            _Station(f"worker{place}", crew.slots, crew.slow_times if place < crew.slow else 1.0)
            for place in range(crew.workers)
        ]
        self._by_name = {one.name: one for one in self.stations}
        self._pools = [Pool(_TYPE) for _ in range(crew.callers)]
        self._shared: deque[int] = deque()
        #: The lane that is stolen from, as of the last report, and what it keeps.
        self._longest: tuple[_Station, int] | None = None
        self._ends: list[tuple[float, int, _Station, float]] = []
        self.waits_s = array("d", bytes(8 * len(self.arrivals_s)))
        self.sojourns_s = array("d", self.waits_s)
        self.in_lanes = self.stolen = 0
        self.now_s = 0.0

    def run(self) -> None:
        """Serve all tasks."""
        report_s = 0.0
        for number, arrival_s in enumerate(self.arrivals_s):
            if not self._ends and arrival_s > report_s + REPORT_EVERY_S:
                # Nobody has anything to do: all reports but the last one before the task say the same.
                report_s = arrival_s // REPORT_EVERY_S * REPORT_EVERY_S
            while report_s <= arrival_s:
                self._until(report_s)
                self._report(report_s)
                report_s += REPORT_EVERY_S
            self._until(arrival_s)
            self._send(number, arrival_s)
        self._until(float("inf"))

    def _send(self, number: int, now_s: float) -> None:
        pool = self._rng.choice(self._pools)
        name = self._strategy.choose(Call(number=number), (pool,), now_s, self._rng).worker
        if name is None:
            self._shared.append(number)
            free = [one for one in self.stations if one.busy < one.slots]
            if free:
                self._fill(self._rng.choice(free), now_s)
            return
        self.in_lanes += 1
        pool.note(name, now_s)
        self._by_name[name].lane.append(number)
        self._fill(self._by_name[name], now_s)

    def _until(self, until_s: float) -> None:
        while self._ends and self._ends[0][0] <= until_s:
            self.now_s, number, station, taken_s = heappop(self._ends)
            self.sojourns_s[number] = self.now_s - self.arrivals_s[number]
            station.busy -= 1
            station.finished += 1
            station.worked_s += taken_s
            self._fill(station, self.now_s)

    def _fill(self, station: _Station, now_s: float) -> None:
        """Have a worker begin what it may: its own, what is everybody's, what another has too much of."""
        while station.busy < station.slots:
            if station.lane:
                number = station.lane.popleft()
            elif self._shared:
                number = self._shared.popleft()
            elif (victim := self._stolen_from(station)) is not None:
                number = victim.lane.popleft()
                self.stolen += 1
            else:
                return
            taken_s = self._services_s[number] * station.times
            self.waits_s[number] = now_s - self.arrivals_s[number]
            station.busy += 1
            heappush(self._ends, (now_s + taken_s, number, station, taken_s))

    def _stolen_from(self, thief: _Station) -> _Station | None:
        if self._longest is None:
            return None
        victim, kept = self._longest
        return victim if victim is not thief and len(victim.lane) > kept else None

    def _report(self, now_s: float) -> None:
        reports = [one.report() for one in self.stations]
        self._pools = [Pool(_TYPE, reports, now_s, before=pool) for pool in self._pools]
        found = longest_lane({one.name: len(one.lane) for one in self.stations}, reports, self._keep_per_slot)
        self._longest = None if found is None else (self._by_name[found[0]], found[1])
        if found is not None:
            for station in self.stations:
                self._fill(station, now_s)


def route(workload: Workload, strategy: Strategy, crew: Crew) -> RouteOutcome:
    """Send recorded arrivals to workers by a strategy.

    Args:
        workload: what arrives; its seed is that of all chance.
        strategy: who chooses.
        crew: the workers.

    Returns:
        What it came to, once all tasks are done; the same arguments give the same outcome.
    """
    run = _Run(workload, strategy, crew)
    run.run()
    count, waits = len(run.waits_s), sorted(run.waits_s)
    slots_s = crew.workers * crew.slots * max(run.now_s, workload.length_s)
    return RouteOutcome(
        tasks=count,
        wait_p50_s=quantile(waits, 0.5),
        wait_p95_s=quantile(waits, 0.95),
        wait_p99_s=quantile(waits, 0.99),
        sojourn_p99_s=quantile(sorted(run.sojourns_s), 0.99),
        utilisation=sum(one.worked_s for one in run.stations) / slots_s if slots_s else 0.0,
        in_lanes=run.in_lanes / count if count else 0.0,
        stolen=run.stolen,
        waits=tuple(longest_waits(run.arrivals_s, run.waits_s, workload.series.step_s)),
    )
