"""Whether callers with old figures run to the same worker: simulated bursts on many workers.

    python benchmarks/herd.py [--workers N] [--slots N] [--callers N] [--tasks N] [--utilisation X] [--seed N]

A discrete-event simulation of lanes with the strategy objects that callers use. Each caller reads the workers' reports
every second, at an instant of its own, and the reports are up to a second old then; it counts what it has sent since.
Tasks come in bursts (a hundred at one instant, by one caller) and take exponential times of one second on average.
Without stealing, so that all that is seen is the router's doing. The measure is an all-knowing router, which sends each
task to the worker with the fewest tasks at that instant; and for contrast, one that takes the best of all by the same old
figures as the strategies and counts nothing. Printed as one JSON record: quantiles of the
sojourn time in seconds, and the ratio of their 99th percentiles.

Caveats: workers are alike, and a message takes no time.
"""

import argparse
import heapq
import json
import random
import sys
from collections import deque
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.agents.types import AgentType  # noqa: E402
from hive.routing.candidates import Call, Decision, Pool, Worker  # noqa: E402
from hive.routing.named import strategy_of  # noqa: E402

TYPE = AgentType(name="simulated")
BURST = 100
EVERY_S = 1.0


class BestOfSnapshot:
    """What a herd is: everybody takes the worker that was the least loaded."""

    name = "best-of-snapshot"

    def choose(self, call: Call, pools: Any, now_s: float, rng: random.Random) -> Decision:  # noqa: ARG002
        """Return the least loaded of all, the first of equals."""
        workers = pools[0].workers
        best = min(workers, key=lambda one: one.load).name if workers else None
        return Decision(agent_type=TYPE.name, worker=best, strategy=self.name, reason="the best")


class Station:
    """One worker: its slots and its lane."""

    __slots__ = ("busy", "lane", "name", "slots")

    def __init__(self, name: str, slots: int) -> None:
        self.name, self.slots, self.busy = name, slots, 0
        self.lane: deque[tuple[float, float]] = deque()

    @property
    def tasks(self) -> int:
        """What it has to do."""
        return self.busy + len(self.lane)


class Fleet:
    """All workers, and when what they run ends."""

    def __init__(self, workers: int, slots: int) -> None:
        self.stations = [Station(f"worker{number}", slots) for number in range(workers)]
        self.sojourns_s: list[float] = []
        self._ends: list[tuple[float, int, int, float]] = []
        self._number = 0
        #: Stations by how many tasks they have, for who knows all; entries of another time are passed over.
        self._by_tasks = [(0, place) for place in range(workers)]

    def send(self, place: int, now_s: float, service_s: float) -> None:
        """Put a task into a worker's lane."""
        self.stations[place].lane.append((now_s, service_s))
        self._begin(place, now_s)

    def least(self) -> int:
        """Return the place of the worker with the fewest tasks at this instant."""
        while True:
            tasks, place = heapq.heappop(self._by_tasks)
            if tasks == self.stations[place].tasks:
                return place

    def until(self, now_s: float) -> None:
        """Let all end that ends before an instant."""
        while self._ends and self._ends[0][0] <= now_s:
            end_s, _, place, arrived_s = heapq.heappop(self._ends)
            self.sojourns_s.append(end_s - arrived_s)
            self.stations[place].busy -= 1
            self._begin(place, end_s)

    def _begin(self, place: int, now_s: float) -> None:
        station = self.stations[place]
        while station.lane and station.busy < station.slots:
            arrived_s, service_s = station.lane.popleft()
            station.busy += 1
            self._number += 1
            heapq.heappush(self._ends, (now_s + service_s, self._number, place, arrived_s))
        heapq.heappush(self._by_tasks, (station.tasks, place))

    def reports(self) -> list[Worker]:
        """Return what the workers say of themselves at this instant."""
        return [
            Worker(name=one.name, slots=one.slots, busy=one.busy, queued=len(one.lane), rate=1.0)
            for one in self.stations
        ]


def simulated(strategy: str, options: argparse.Namespace) -> list[float]:
    """Return the sojourn times under a strategy; ``all-knowing`` is none of hive's."""
    rng, fleet = random.Random(options.seed), Fleet(options.workers, options.slots)
    gap_s = BURST / (options.workers * options.slots * options.utilisation)
    places = {station.name: place for place, station in enumerate(fleet.stations)}
    herds = strategy == BestOfSnapshot.name
    chosen: Any = None if strategy == "all-knowing" else BestOfSnapshot() if herds else strategy_of(strategy)
    pools, looks_s = [Pool(TYPE)] * options.callers, [rng.random() * EVERY_S for _ in range(options.callers)]
    reports, reported_s, now_s, number = fleet.reports(), 0.0, 0.0, 0
    while number < options.tasks:
        now_s += rng.expovariate(1 / gap_s)
        fleet.until(now_s)
        if now_s >= reported_s + EVERY_S:
            # Nobody sees a report before the next one is made: the oldest a caller can hold.
            old, reports, reported_s = reports, fleet.reports(), now_s
            for caller in range(options.callers):
                looks_s[caller] = now_s + rng.random() * EVERY_S
                pools[caller] = Pool(TYPE, old, now_s)
        caller = rng.randrange(options.callers)
        if now_s >= looks_s[caller]:
            looks_s[caller], pools[caller] = float("inf"), Pool(TYPE, reports, now_s)
        for _ in range(BURST):
            number += 1
            service_s = rng.expovariate(1.0)
            if chosen is None:
                fleet.send(fleet.least(), now_s, service_s)
                continue
            decision = chosen.choose(Call(number=number), (pools[caller],), now_s, rng)
            place = places[decision.worker] if decision.worker else rng.randrange(options.workers)
            if decision.worker and not herds:
                pools[caller].note(decision.worker, now_s)
            fleet.send(place, now_s, service_s)
    fleet.until(float("inf"))
    return sorted(fleet.sojourns_s[options.tasks // 5 :])


def described(sojourns_s: list[float]) -> dict[str, Any]:
    """Return quantiles in seconds."""
    count = len(sojourns_s)
    return {f"p{round(share * 100)}_s": round(sojourns_s[int(count * share)], 3) for share in (0.5, 0.95, 0.99)}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--utilisation", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    names = ("all-knowing", "least_loaded", "round_robin", "performance", BestOfSnapshot.name)
    found = {name: described(simulated(name, options)) for name in names}
    known = found["all-knowing"]["p99_s"]
    ratios = {name: round(one["p99_s"] / known, 3) for name, one in found.items()}
    print(json.dumps({"sojourn": found, "p99_ratio": ratios, **vars(options)}, indent=2))


if __name__ == "__main__":
    main()
