"""What the scheduler of agents' sleep costs, and how fast a rollback of its flag reaches other processes.

    python benchmarks/rest.py [--agents N] [--rounds N] [--processes N]

A broker of its own holds agents, each with two days of past. Cost: processor time of this process and of the broker for
a round, as a share of one core at a round every five minutes; live, with nobody to put to sleep, and in shadow alike.
Rollback: processes ask every 10 ms whether they may act on an agent, as every act does; printed is how long after the
rollback the last of them was told no. Prints one JSON record.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402

from hive import Hive  # noqa: E402
from hive.agents.sleep_policy import SleepPolicy  # noqa: E402
from hive.consolidation.safety import Pressure  # noqa: E402
from hive.consolidation.stages import Mode  # noqa: E402
from hive.learning.idleness import DAY, INTERVAL_S, KEPT  # noqa: E402
from hive.runtime.rest.notes import PAST  # noqa: E402
from hive.runtime.rest.past import Past  # noqa: E402
from hive.runtime.rest.scheduler import HOLD_S, RestScheduler  # noqa: E402
from hive.runtime.rest.switches import FLAG, Switches  # noqa: E402
from hive.settings.load import load_settings  # noqa: E402
from hive.store.leadership import Leadership  # noqa: E402
from hive.testing import temporary_broker  # noqa: E402

EVERY_S = 300.0
POLL_S = 0.01


def made(url: str, home: str) -> Hive:
    """Return an application of that broker."""
    return Hive("rest", broker=url, settings=load_settings(home=Path(home)))


def remember(app: Hive, count: int) -> None:
    """Name agents, and write down two days of their past: busy by day, quiet by night, each at its own hours."""
    store = app.access.store
    leadership = Leadership(store, FLAG, holder="bench", hold_s=HOLD_S)
    term = leadership.campaign()
    if term is None:
        raise SystemExit("somebody leads on a broker of our own")
    interval = int(term.now_ms / 1000 / INTERVAL_S)
    for place in range(count):
        store.agent_policy(f"agent-{place}", SleepPolicy())
        counts = tuple(
            float((place + step) % 7) if (place * 5 + step) % DAY < DAY // 2 else 0.0 for step in range(KEPT)
        )
        past = Past(interval=interval, messages_count=0, counts=counts)
        leadership.note(term, {f"{PAST}agent-{place}": past.written()})
    leadership.resign()


def cost(app: Hive, server: psutil.Process, rounds: int) -> dict[str, Any]:
    """Return what rounds cost."""
    scheduler = RestScheduler(app, pressure=Pressure)
    scheduler.round()
    seconds = []
    for _ in range(rounds):
        before = time.process_time() + sum(server.cpu_times()[:2])
        scheduler.round()
        seconds.append(time.process_time() + sum(server.cpu_times()[:2]) - before)
    median_s = statistics.median(seconds)
    return {"cpu_ms_a_round": round(1000 * median_s, 2), "percent_of_a_core": round(100 * median_s / EVERY_S, 4)}


def _ask(url: str, home: str, ready: "Queue[float]", told: "Queue[float]") -> None:
    switches = Switches(made(url, home).access.store)
    while not switches.position().acts_on("agent-0"):
        time.sleep(POLL_S)
    ready.put(0.0)
    while switches.position().acts_on("agent-0"):
        time.sleep(POLL_S)
    told.put(time.monotonic())


def rollback_s(app: Hive, url: str, home: str, processes: int) -> list[float]:
    """Return after how many seconds each process was told that it may not act any more."""
    switches = Switches(app.access.store)
    switches.go(Mode.LIVE)
    for _ in range(5):
        switches.advance(0, anyway=True)
    context = multiprocessing.get_context("spawn")
    ready: Queue[float] = context.Queue()
    told: Queue[float] = context.Queue()
    asking = [context.Process(target=_ask, args=(url, home, ready, told)) for _ in range(processes)]
    for process in asking:
        process.start()
    for _ in asking:
        ready.get(timeout=60)
    began_s = time.monotonic()
    switches.roll_back(0)
    found = [told.get(timeout=60) - began_s for _ in asking]
    for process in asking:
        process.join()
    return sorted(round(one, 4) for one in found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=8)
    arguments = parser.parse_args()
    with temporary_broker() as url, tempfile.TemporaryDirectory() as home:
        app = made(url, home)
        remember(app, arguments.agents)
        server = psutil.Process(int(app.access.store.client.info("server")["process_id"]))
        record = {"agents": arguments.agents, **cost(app, server, arguments.rounds)}
        record["rollback_s"] = rollback_s(app, url, home, arguments.processes)
        app.close()
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
