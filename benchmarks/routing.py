"""What a routing decision costs.

    python benchmarks/routing.py [--types N] [--workers N] [--decisions N] [--seed N]

N agent types with N workers each, with loads drawn by the seed; each strategy decides N times, and so does the router as
a call meets it: from the declared strategy to the lane, with its count of what was sent. Half of the calls name their
agent type, half only a kind that every type can do, so that all workers are candidates. Printed as one JSON record:
median and 99th percentile in microseconds of each strategy, and how often the broker was asked in the thread that
decides.

Caveats: what is measured is wall time in one process, as a caller meets it; on a busy machine the 99th percentile is that
of the machine. A snapshot's workers are made in the background and cost a caller only the lock of the interpreter.
"""

import argparse
import json
import platform
import random
import statistics
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.agents.types import AgentType, Capability, Resources  # noqa: E402
from hive.clock import SystemClock  # noqa: E402
from hive.routing.keys import RECENT, RecentKeys  # noqa: E402
from hive.routing.named import STRATEGIES, strategy_of  # noqa: E402
from hive.routing.report import LoadReport  # noqa: E402
from hive.routing.router import Router  # noqa: E402
from hive.routing.snapshots import Snapshots  # noqa: E402
from hive.settings.parts import RoutingSettings  # noqa: E402
from hive.store.lane import AFFINITY, LaneRecord  # noqa: E402

KIND, KEYS = "work", 10_000


class Broker:
    """Answers with lanes that were drawn once, and counts the threads that ask."""

    def __init__(self, types: int, workers: int, rng: random.Random) -> None:
        self.asked: list[str] = []
        self._lanes = {
            f"agent.type{type_}": tuple(self._lane(f"worker{number}@type{type_}", rng) for number in range(workers))
            for type_ in range(types)
        }

    @staticmethod
    def _lane(name: str, rng: random.Random) -> LaneRecord:
        keys = RecentKeys()
        for _ in range(RECENT):
            keys.note(f"key-{rng.randrange(KEYS)}")
        load = LoadReport(
            slots=rng.randint(1, 8),
            busy=rng.randint(0, 8),
            held=rng.randint(0, 8),
            rate=rng.random() * 10,
            failed_share=rng.random() / 5,
            cpu=rng.random() * 0.9,
            memory=rng.random() * 0.9,
            free_memory_mb=rng.random() * 4096,
            keys=keys.written(),
        )
        return LaneRecord(worker=name, is_alive=True, age_s=0.5, waiting=rng.randint(0, 5), load=load.written())

    def lanes(self, queue: str) -> tuple[LaneRecord, ...]:
        """Return the lanes of a queue."""
        self.asked.append(threading.current_thread().name)
        return self._lanes[queue]


def types_of(count: int) -> dict[str, AgentType]:
    """Return agent types that can all do one kind, not equally well."""
    ability = lambda place: Capability(kind=KIND, proficiency=0.5 + place / (2 * count))  # noqa: E731
    made = (
        AgentType(name=f"type{place}", capabilities=(ability(place),), domains=("a", "b")) for place in range(count)
    )
    return {one.name: one for one in made}


def calls_of(strategy: Any, types: list[str], rng: random.Random) -> tuple[Any, Any]:
    """Return two tasks: one that names its type, and one that names only its kind."""
    shared = {"routing": strategy, "kind": KIND, "domains": ("a",), "needs": Resources(memory_mb=512)}
    return SimpleNamespace(agent_type=rng.choice(types), **shared), SimpleNamespace(agent_type=None, **shared)


def measured(name: str, router: Router, types: list[str], decisions: int, rng: random.Random) -> dict[str, float]:
    """Return the times of a strategy's decisions."""
    tasks = calls_of(strategy_of(name), types, rng)
    times_us = []
    for number in range(decisions):
        options = {"headers": {AFFINITY: f"key-{rng.randrange(KEYS)}"}} if name in {"affinity", "hybrid"} else {}
        task = tasks[number % 2]
        began_ns = time.perf_counter_ns()
        router("task", (), {}, options, task)
        times_us.append((time.perf_counter_ns() - began_ns) / 1000)
    times_us.sort()
    return {
        "p50_us": round(statistics.median(times_us), 1),
        "p99_us": round(times_us[int(len(times_us) * 0.99)], 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", type=int, default=10)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    types, broker = types_of(options.types), Broker(options.types, options.workers, rng)
    snapshots = Snapshots(types, lambda: broker, RoutingSettings(), SystemClock())  # type: ignore[arg-type,return-value]
    snapshots.pools(list(types))
    snapshots.run_once()
    router = Router(types, snapshots, SystemClock())
    found = {name: measured(name, router, list(types), options.decisions, rng) for name in STRATEGIES}
    snapshots.stop()
    mine = threading.current_thread().name
    broker_calls = broker.asked.count(mine) - options.types
    record = {
        "candidates": options.types * options.workers,
        "strategies": found,
        "worst_p50_us": max(one["p50_us"] for one in found.values()),
        "worst_p99_us": max(one["p99_us"] for one in found.values()),
        # The first look at each type was asked for above.
        "broker_calls_on_the_calling_path": broker_calls,
        "decisions": options.decisions,
        "seed": options.seed,
        "python": platform.python_version(),
        "machine": platform.platform(),
    }
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
