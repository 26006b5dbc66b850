"""A circuit breaker over a fleet: probes, times, costs.

    python benchmarks/breaker.py [--processes N] [--cycles N] [--kill-every N] [--window-s S] [--open-s S] [--probes N]

On a broker of its own. N processes call one dependency through its breaker without a pause longer than 2 ms; it goes down
and comes back N times. Of three cycles one fails at its first probe too, and every `--kill-every` cycles the process that
probes hangs and is killed. Printed as one JSON record: the most probes that reached the dependency in a half-open time,
less those of killed processes; how long after the dependency went down the breaker opened; what a call through the closed
breaker costs in CPU time (one process, an empty body, the loop's own cost taken off); and how many scripts the broker ran
for how many calls.

Caveats: the dependency answers at once and lies on this machine; all processes share its clock. The time until the breaker
opens is mostly that of the next report, and on a busy machine that of the processes getting their turn.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive import BreakerSettings, Hive  # noqa: E402
from tests.support.breaker_fleet import BreakerFleet  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402

CALLS = 200_000


def call_cost_us(server: RedisServer) -> float:
    """Return the CPU time of a call through a closed breaker, in microseconds, threads of the process included."""
    app = Hive("cost", broker=server.url, backend=server.url)
    breaker = app.breaker("cost")
    costs = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(CALLS):
            with breaker:
                pass
        with_breaker = time.process_time() - began
        began = time.process_time()
        for _ in range(CALLS):
            pass
        costs.append((with_breaker - (time.process_time() - began)) / CALLS * 1e6)
    app.circuits.stop()
    return statistics.median(costs)


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the fleet did."""
    rules = BreakerSettings(
        window_s=options.window_s, min_calls=10, open_s=options.open_s, probes=options.probes, probe_lease_s=1
    )
    server = RedisServer().start()
    try:
        cost_us = call_cost_us(server)
        with BreakerFleet(server, options.processes, rules) as fleet:
            calls, scripts = fleet.closed_stretch(5)
            for number in range(options.cycles):
                kills = options.kill_every > 0 and number % options.kill_every == options.kill_every - 1
                fleet.cycle(fails_again=number % 3 == 1, kills=kills)
            record = fleet.record
        probes = fleet.probes_by_generation()
    finally:
        server.close()
    opened_s = sorted(fleet.seen.opened_after_s)
    killed = fleet.seen.killed
    return {
        "call_cost_us": round(cost_us, 2),
        "closed_calls": calls,
        "scripts_for_them": scripts,
        "half_open_times": len(probes),
        "most_probes": max(count - killed[generation] for generation, count in probes.items()),
        "probes_set": options.probes,
        "killed_probers": sum(killed.values()),
        "lost_probes": record.lost_probes_total,
        "opened_total": record.opened_total,
        "opened_after_s": {"p50": opened_s[len(opened_s) // 2], "max": opened_s[-1]},
        "window_s": options.window_s,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--kill-every", type=int, default=10)
    parser.add_argument("--window-s", type=float, default=5.0)
    parser.add_argument("--open-s", type=float, default=1.0)
    parser.add_argument("--probes", type=int, default=3)
    options = parser.parse_args()
    machine = {
        "python": platform.python_version(),
        "cores": psutil.cpu_count(),
        "load_1min_before": psutil.getloadavg()[0],
    }
    print(json.dumps({"options": vars(options), "machine": machine, **measured(options)}, indent=2))


if __name__ == "__main__":
    main()
