"""Beats whose leader is killed, frozen or cut off, again and again: what was lost, sent twice, and how long a takeover took.

    python benchmarks/beat.py [--faults 100] [--beats 3] [--hold-s 0.6] [--seed N] [--json]
    python benchmarks/beat.py --faults 12 --hold-s 3       # takeover with the default settings
    python benchmarks/beat.py --idle-s 20                  # what a leader and a standby cost while nothing is due

Real processes (`celery -A ... beat`, each behind a relay of its own) on a real broker. Three entries are due every 0.1, 0.25
and 0.7 s, with `catch_up: all`; nobody consumes, so every message is there at the end with its entry and due time. The three
faults come equally often, in random order, each when a leader is found and the last one is over; a killed beat is started
anew, a frozen one goes on and a cut-off one is let through once another has sent. Exit code 1 unless nothing was lost,
nothing was sent twice and no takeover took longer than the bar.

lost        due times between an entry's first and its last that nothing was sent for
duplicated  messages beyond the first of a due time
recovered   faults after which another led and sent, within the bar
unexpected  messages off the grid of due times, beats that ended by themselves, terms that did not grow

Takeover is measured from the fault to the first firing of the next leader. Caveats: all processes share one machine; a
shorter lead than the default (3 s) makes takeovers quicker, and more of them; the seed sets the order of the faults only.
"""

import argparse
import json
import platform
import random
import statistics
import sys
import tempfile
from pathlib import Path
from threading import Event
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from hive import SystemClock
from tests.support.beat_fleet import BeatFleet, Fault, faults
from tests.support.redis_server import RedisServer

BAR_S = 5.0


def run(args: argparse.Namespace, server: RedisServer, log: Path) -> dict[str, Any]:
    """Meet the faults and return the counts."""
    with BeatFleet(server, count=args.beats, hold_s=args.hold_s, log=log) as fleet:
        taken = [(fault, fleet.fault(fault)) for fault in faults(random.Random(args.seed), args.faults)]
        fleet.settle()
        crashes, tally = fleet.crashes(), fleet.tally()
    fell = sum(later <= earlier for earlier, later in zip(fleet.terms, fleet.terms[1:], strict=False))
    times = [taken_s for _, taken_s in taken]
    return {
        "faults": len(taken),
        "sent": tally.sent,
        "lost": tally.lost,
        "duplicated": tally.duplicated,
        "recovered": sum(taken_s <= BAR_S for taken_s in times),
        "unexpected": tally.unexpected + crashes + fell,
        "takeover_p50_s": round(statistics.median(times), 3),
        "takeover_max_s": round(max(times), 3),
        "takeover_max_s_by_fault": {
            kind.value: round(max((taken_s for fault, taken_s in taken if fault is kind), default=0.0), 3)
            for kind in (Fault.KILLED, Fault.FROZEN, Fault.CUT_OFF)
        },
    }


def idle(args: argparse.Namespace, server: RedisServer, log: Path) -> dict[str, Any]:
    """Return what beats cost whose entries are paused: requests and processor time a second, and memory."""
    with BeatFleet(server, count=args.beats, hold_s=args.hold_s, log=log) as fleet:
        leads = fleet.leader().holder.split(":")[1]
        for name in ("fast", "middle", "slow"):
            server.client().hset("{hive:lead:beat}:hive:paused", name, 1)
        server.client().incr("{hive:lead:beat}:hive:revision")
        Event().wait(3)
        processes = {beat.process.pid: psutil.Process(beat.process.pid) for beat in fleet.beats}
        before = {beat.process.pid: (_cpu_s(processes[beat.process.pid]), beat.proxy.requests) for beat in fleet.beats}
        clock = SystemClock()
        began_s = clock.monotonic_s()
        Event().wait(args.idle_s)
        past_s = clock.monotonic_s() - began_s
        return {
            ("leader" if str(pid) == leads else f"standby {pid}"): {
                "core_percent": round(100 * (_cpu_s(processes[pid]) - before[pid][0]) / past_s, 2),
                "requests_per_s": round((beat.proxy.requests - before[pid][1]) / past_s, 2),
                "resident_mb": round(processes[pid].memory_info().rss / 2**20, 1),
            }
            for beat in fleet.beats
            if (pid := beat.process.pid)
        }


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> int:
    """Run it and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--beats", type=int, default=3)
    parser.add_argument("--hold-s", type=float, default=0.6)
    parser.add_argument("--idle-s", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    server = RedisServer().start()
    try:
        with tempfile.TemporaryDirectory(prefix="hive-beats-") as directory:
            log = Path(directory) / "log"
            figures = idle(args, server, log) if args.idle_s else run(args, server, log)
    finally:
        server.close()
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    record = {"machine": machine, "seed": args.seed, "beats": args.beats, "hold_s": args.hold_s, **figures}
    print(json.dumps(record, indent=None if args.json else 2))
    if args.idle_s:
        return 0
    is_good = not (figures["lost"] or figures["duplicated"] or figures["unexpected"])
    return 0 if is_good and figures["recovered"] == figures["faults"] else 1


if __name__ == "__main__":
    sys.exit(main())
