"""How routing balances eight real workers, one of them four times slower, under tasks of very unequal length.

    python benchmarks/balance.py [--seconds N] [--rounds N] [--load X] [--keyed X] [--slots N] [--seed N] [--tasks-in-lane N]

Eight worker processes (threads pool) on a broker of their own; a task sleeps, on the slow worker four times as long. The
durations are drawn from a Pareto distribution, cut at twenty times the mean; tasks arrive at random instants, `--load` times
as many as all slots together can do, after a burst of four for each slot: there is a backlog all the time. In each round
the same tasks arrive at the same instants once for each way of routing, one way after the other, in an order that
turns from round to round:

    robin      each worker in turn
    shared     the plain shared queue
    hybrid     no task has a key: hybrid leaves all of them to the shared queue
    keyed      hybrid, and a share of the tasks (`--keyed`) has one of 200 keys, which take it to a lane

The measured window begins a second after the burst and ends with the last arrival. A sojourn counts from the instant at
which a task was due to arrive until its end, for every task of the round. The p99 of a way is that of the sojourns of all
rounds together; the ratio of each single round is printed beside. Busy: what tasks took of the slots within the window,
in its worst round. Backlog: the fewest tasks at any instant of the window that had arrived and not begun.

Then tasks are sent in turn until one worker's lane is long, that worker is killed, more are sent to it, and all that were
sent must run; what ran in it and died with it runs again. Prints one JSON record.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hive.testing import temporary_broker  # noqa: E402

QUEUE, WORKERS, SLOWNESS = "agent.sleeper", 8, 4.0
MEAN_S, SHAPE, LONGEST, KEYS = 0.25, 1.5, 20, 200
WAYS = ("robin", "shared", "hybrid", "keyed")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One task: when it arrives after the beginning of its round, how long it takes, and its key."""

    at_s: float
    takes_s: float
    key: str | None


@dataclass(frozen=True, slots=True)
class Nap:
    """What a worker noted of one task, by the monotonic clock of the host."""

    number: int
    worker: str
    began_s: float
    ended_s: float


def drawn(options: argparse.Namespace, rng: random.Random) -> list[Arrival]:
    """Return the tasks of one round."""
    slots = options.slots * (WORKERS - 1 + 1 / SLOWNESS)
    rate = options.load * slots / MEAN_S
    found, at_s = [], 0.0
    while at_s < options.seconds:
        takes_s = min(rng.paretovariate(SHAPE) * (SHAPE - 1) / SHAPE, LONGEST) * MEAN_S
        key = f"key-{rng.randrange(KEYS)}" if rng.random() < options.keyed else None
        found.append(Arrival(at_s, takes_s, key))
        at_s += rng.expovariate(rate) if len(found) > 4 * options.slots * WORKERS else 0.0
    return found


class Fleet:
    """The workers, the broker and the application that sends."""

    def __init__(self, url: str, directory: Path, slots: int) -> None:
        os.environ.update(BALANCED_URL=url, HIVE_HOME=str(directory))
        from tests.support import balanced_app  # noqa: PLC0415 - reads its address when it is imported

        self.tasks, self.app, self.notes = balanced_app, balanced_app.app, balanced_app.notes
        self.workers = {f"w{place}@balance": self._worker(place, directory, slots) for place in range(WORKERS)}

    @staticmethod
    def _worker(place: int, directory: Path, slots: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "celery", "-A", "tests.support.balanced_app", "worker", "-P", "threads"]
        command += ["-c", str(slots), "-n", f"w{place}@balance", "-Q", QUEUE, "--without-mingle", "--without-gossip"]
        slow = {"BALANCED_SLOWNESS": str(SLOWNESS)} if place == 0 else {}
        with (directory / f"w{place}.log").open("wb") as log:
            return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **slow}, stdout=log, stderr=subprocess.STDOUT)

    def stop(self) -> None:
        """End the workers."""
        for process in self.workers.values():
            process.terminate()
        for process in self.workers.values():
            process.wait(60)

    def known(self) -> int:
        """Return of how many workers the caller knows."""
        return len(self.app.snapshots.pools(["sleeper"])[0].workers)

    def send(self, way: str, number: int, arrival: Arrival) -> None:
        """Send one task."""
        task = getattr(self.tasks, "hybrid" if way == "keyed" else way)
        options = {"affinity": arrival.key} if way == "keyed" and arrival.key else {}
        task.apply_async((number, arrival.takes_s), **options)

    def naps(self) -> list[Nap]:
        """Return what the workers noted."""
        return [Nap(*json.loads(one)) for one in self.notes.lrange("naps", 0, -1)]

    def counters(self) -> Counter[str]:
        """Return the counters of the queue."""
        return Counter(self.app.access.store.stats(QUEUE).counters)


def until(condition: Callable[[], Any], timeout_s: float) -> None:
    """Return once it is true."""
    pause, deadline_s = threading.Event(), time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {timeout_s:g} s")
        pause.wait(0.05)


def played(fleet: Fleet, way: str, arrivals: Sequence[Arrival]) -> tuple[list[Nap], float, float]:
    """Send the tasks of a round as they arrive; return what became of them, when it began, and how late it sent at most."""
    fleet.notes.delete("naps")
    began_s, late_s, pause = time.monotonic(), 0.0, threading.Event()
    for number, arrival in enumerate(arrivals):
        ahead_s = began_s + arrival.at_s - time.monotonic()
        if ahead_s > 0.001:
            pause.wait(ahead_s)
        elif arrival.at_s > 1.0:
            late_s = max(late_s, -ahead_s)
        fleet.send(way, number, arrival)
    until(lambda: fleet.notes.llen("naps") >= len(arrivals), 300)
    return fleet.naps(), began_s, late_s


def judged(
    naps: Sequence[Nap], began_s: float, arrivals: Sequence[Arrival], slots: int
) -> tuple[list[float], dict[str, Any]]:
    """Return the sojourns of a round in seconds, and what else it shows."""
    sojourns_s = [nap.ended_s - began_s - arrivals[nap.number].at_s for nap in naps]
    window = began_s + 1.0, began_s + arrivals[-1].at_s
    busy_s = sum(max(0.0, min(nap.ended_s, window[1]) - max(nap.began_s, window[0])) for nap in naps)
    changes = [(began_s + arrivals[nap.number].at_s, 1) for nap in naps] + [(nap.began_s, -1) for nap in naps]
    waiting, fewest = 0, len(naps)
    for at_s, change in sorted(changes):
        fewest = min(fewest, waiting) if window[0] <= at_s <= window[1] else fewest
        waiting += change
    slow = [nap for nap in naps if nap.worker.startswith("w0@")]
    return sojourns_s, {
        "p99_s": quantile(sojourns_s, 0.99),
        "busy": round(busy_s / (WORKERS * slots * (window[1] - window[0])), 4),
        "backlog_at_least": fewest,
        "run_by_the_slow": len(slow),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile."""
    return round(sorted(values)[int(share * len(values))], 3)


def balanced(fleet: Fleet, options: argparse.Namespace) -> dict[str, Any]:
    """Play all rounds and compare."""
    rng = random.Random(options.seed)
    sojourns_s: dict[str, list[float]] = {way: [] for way in options.ways}
    rounds: dict[str, list[dict[str, Any]]] = {way: [] for way in options.ways}
    sent = 0
    for number in range(options.rounds):
        arrivals = drawn(options, rng)
        sent += len(arrivals)
        turned = options.ways[number % len(options.ways) :] + options.ways[: number % len(options.ways)]
        for way in turned:
            before = fleet.counters()
            naps, began_s, late_s = played(fleet, way, arrivals)
            found, shown = judged(naps, began_s, arrivals, options.slots)
            sojourns_s[way] += found
            again = len(naps) - len({nap.number for nap in naps})
            shown |= {"sent_late_s": round(late_s, 3), "stolen": (fleet.counters() - before)["stolen"], "again": again}
            rounds[way].append(shown)
            print(f"round {number + 1} {way}: {json.dumps(shown)}", file=sys.stderr, flush=True)
    ways = {
        way: {
            "p50_s": quantile(sojourns_s[way], 0.5),
            "p99_s": quantile(sojourns_s[way], 0.99),
            "busy_at_least": min(one["busy"] for one in rounds[way]),
            "backlog_at_least": min(one["backlog_at_least"] for one in rounds[way]),
            "rounds": rounds[way],
        }
        for way in options.ways
    }
    return {"tasks_of_each_way": sent, "ways": ways, "p99_ratios": ratios(ways)}


def ratios(ways: dict[str, Any]) -> dict[str, Any]:
    """Return the ratios of p99 sojourns, of all rounds and of each."""
    found = {}
    for way in {"hybrid", "keyed"} & ways.keys():
        for other in {"robin", "shared"} & ways.keys():
            pairs = zip(ways[way]["rounds"], ways[other]["rounds"], strict=True)
            each = [round(one["p99_s"] / two["p99_s"], 3) for one, two in pairs]
            pooled = round(ways[way]["p99_s"] / ways[other]["p99_s"], 3)
            found[f"{way} to {other}"] = {"pooled": pooled, "median": statistics.median(each), "rounds": each}
    return dict(sorted(found.items()))


def killed(fleet: Fleet, in_lane: int) -> dict[str, Any]:
    """Kill a worker whose lane is long; count what ran of all that was sent."""
    fleet.notes.delete("naps")
    victim, store = "w1@balance", fleet.app.access.store
    sent, before = 0, fleet.counters()

    def some(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            fleet.send("robin", sent, Arrival(0.0, 0.2, None))
            sent += 1

    while store.in_lanes(QUEUE).get(victim, 0) < in_lane:
        some(8 * WORKERS)
    waiting = store.in_lanes(QUEUE)[victim]
    fleet.workers[victim].kill()
    fleet.workers[victim].wait(10)
    killed_s = time.monotonic()
    some(8 * WORKERS)
    until(lambda: len({nap.number for nap in fleet.naps()}) == sent, 120)
    took_s = time.monotonic() - killed_s
    until(lambda: victim not in store.in_lanes(QUEUE), 30)
    ran = {nap.number for nap in fleet.naps()}
    return {
        "sent": sent,
        "in_its_lane_when_killed": waiting,
        "stranded": sent - len(ran),
        "ran_twice": len(fleet.naps()) - len(ran),
        "all_done_after_s": round(took_s, 1),
        "left_in_lanes": sum(store.in_lanes(QUEUE).values()),
        "rerouted": (fleet.counters() - before)["rerouted"],
    }


def main() -> None:
    """Start the fleet, measure, and print the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12.0, help="of arrivals in each round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--load", type=float, default=1.3)
    parser.add_argument("--keyed", type=float, default=0.25, help="share of the tasks with a key")
    parser.add_argument("--slots", type=int, default=2, help="of each worker")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS))
    parser.add_argument("--tasks-in-lane", type=int, default=20, help="in the lane of the worker that is killed")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hive-balance-") as directory, temporary_broker() as url:
        fleet = Fleet(url, Path(directory), options.slots)
        try:
            until(lambda: fleet.known() == WORKERS, 90)
            measured = balanced(fleet, options) if options.rounds else {}
            after_death = killed(fleet, options.tasks_in_lane)
        finally:
            fleet.stop()
    record = {
        "commit": commit.stdout.strip() or None,
        "options": vars(options),
        **measured,
        "killed": after_death,
        "seconds": round(time.monotonic() - began_s, 1),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
