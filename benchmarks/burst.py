"""Pools that follow demand: how soon after a burst, what shrinking does to what runs, and what deciding costs.

    python benchmarks/burst.py burst        2,000 tasks of 50 ms for an idle worker: decided, reached, back to the minimum
    python benchmarks/burst.py slots        1,000 slots taken from a prefork pool that is at work
    python benchmarks/burst.py processes    50 workers drained while they work
    python benchmarks/burst.py cost         the scaler's processor time, ten pools, idle and with backlogs

Real workers (``tests/support/scaled_app.py``) on a broker of its own. A task leaves a trace of its start and of its end:
each must be there once, and no delivery may have been counted as a death.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hive import Hive  # noqa: E402
from hive.routing.report import worker_of  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402

HIVE = str(Path(sys.executable).with_name("hive"))
TYPE, QUEUE, APP = "code_reviewer", "agent.code_reviewer", "tests.support.scaled_app:app"


class Trial:
    """A broker, a command of hive on it, and what its tasks have left there."""

    def __init__(self, *command: str, slots: int, workers: int = 1, **environ: str) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="hive-burst-")
        self.server = RedisServer().start()
        self.client = self.server.client()
        self.app = Hive("scaled", broker=self.server.url)
        self.sent = 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HIVE_")}
        kept |= {"SCALED_URL": self.server.url, "SCALED_SLOTS": str(slots), "SCALED_WORKERS": str(workers), **environ}
        kept |= {"HIVE_HOME": self.directory.name, "HIVE_SCALING_MEMORY_MB": "1000000", "HIVE_SCALING_CORES": "1000"}
        self.log = Path(self.directory.name) / "command.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [HIVE, *command, "-A", APP], cwd=ROOT, env=kept, stdout=log, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(90)
        self.client.close()
        self.server.close()
        self.directory.cleanup()

    def publish(self, count: int, seconds: float) -> None:
        """Send tasks that take so long each."""
        with self.app.batch():
            for _ in range(count):
                self.app.send_task("scaled.nap", (seconds,), queue=QUEUE, ignore_result=True)
        self.sent += count

    def slots(self) -> int:
        """Return the slots of all workers, as they report."""
        found = [worker_of(one.worker, 0, one.load) for one in self.app.access.store.lanes(QUEUE) if one.is_alive]
        return sum(one.slots for one in found if one is not None)

    def consumers(self) -> int:
        """Return how many workers consume."""
        return self.app.access.store.demand([QUEUE])[0].consumers

    def changes(self) -> list[dict[str, Any]]:
        """Return what was decided, oldest first."""
        return [json.loads(one) for one in reversed(self.app.access.store.scaling_history(TYPE))]

    def ask(self, slots: int) -> None:
        """Ask for a number of slots, and have workers look at once."""
        self.app.access.store.override_size(TYPE, slots)
        self.app.control.broadcast("hive_look_at_size")

    def outcome(self) -> dict[str, int]:
        """Wait for all that was sent; count what did not begin once, end once, or was delivered again."""
        until(lambda: self.client.llen("ended") >= self.sent, 120)
        begun, ended = (Counter(self.client.lrange(kind, 0, -1)) for kind in ("started", "ended"))
        counters = self.app.access.store.stats(QUEUE).counters
        return {
            "tasks": self.sent,
            "begun_not_once": sum(times != 1 for times in begun.values()),
            "ended_not_once": sum(times != 1 for times in ended.values()) + self.sent - len(ended),
            **{name: counters.get(name, 0) for name in ("deaths", "redelivered", "reaped")},
        }


def until(condition: Callable[[], Any], timeout_s: float) -> Any:
    """Return the first true value."""
    pause, deadline_s = threading.Event(), time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise TimeoutError(str(condition))
        pause.wait(0.05)
    return value


def burst(options: argparse.Namespace) -> dict[str, Any]:
    """Send 2,000 tasks to a worker that is idle with one slot."""
    slots = options.slots
    with Trial("worker", TYPE, "--pool", options.pool, slots=slots) as trial:
        until(lambda: trial.consumers() == 1, 60)
        threading.Event().wait(5)
        trial.publish(2_000, 0.05)
        sent_s, sent_ms = time.monotonic(), time.time() * 1000
        until(lambda: trial.slots() == slots, 60)
        reached_s = time.monotonic() - sent_s
        until(lambda: trial.client.llen("ended") == 2_000, 120)
        done_s = time.monotonic() - sent_s
        until(lambda: trial.slots() == 1, 240)
        back_s = time.monotonic() - sent_s
        decided = next(one for one in trial.changes() if one["target"] == slots)
        return {
            "pool": options.pool,
            "most_slots": slots,
            "decided_s": round((decided["at_ms"] - sent_ms) / 1000, 2),
            "reached_s": round(reached_s, 2),
            "all_ended_s": round(done_s, 2),
            "back_at_the_minimum_s": round(back_s, 1),
            **trial.outcome(),
        }


def slots(options: argparse.Namespace) -> dict[str, Any]:
    """Take slots from a pool at work and give them back, until enough were taken."""
    with Trial("worker", TYPE, slots=26) as trial:
        until(lambda: trial.consumers() == 1, 60)

        def taken() -> int:
            return int(trial.client.get("taken") or 0)

        def size() -> int:
            stats = trial.app.control.inspect(timeout=2.0, limit=1).stats() or {}
            return sum(one["autoscaler"]["current"] for one in stats.values())

        end_s = time.monotonic() + options.seconds
        while taken() < options.count and time.monotonic() < end_s:
            for wanted in (26, 2):
                trial.publish(max(0, 100 - trial.app.access.store.demand([QUEUE])[0].waiting), 0.02)
                trial.ask(wanted)
                until(lambda wanted=wanted: size() == wanted, 60)
            trial.client.incrby("taken", 24)
        return {"slots_taken": taken(), **trial.outcome()}


def processes(options: argparse.Namespace) -> dict[str, Any]:
    """Drain workers at work and start them again, until enough have drained."""
    with Trial("up", "--no-beat", "--slots", "1", slots=1, workers=6) as trial:
        until(lambda: trial.consumers() == 1, 60)
        drained, end_s = 0, time.monotonic() + options.seconds
        while drained < options.count and time.monotonic() < end_s:
            for wanted in (6, 1):
                trial.ask(wanted)
                while trial.consumers() != wanted:
                    trial.publish(max(0, 30 - trial.app.access.store.demand([QUEUE])[0].waiting), 0.1)
                    threading.Event().wait(0.1)
            drained += 5
        return {"workers_drained": drained, **trial.outcome()}


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Take the processor time of ``hive autoscale`` with the ten agent types of hive."""
    with tempfile.TemporaryDirectory(prefix="hive-cost-") as directory:
        server = RedisServer().start()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HIVE_")}
        environ = {**kept, "HIVE_HOME": directory, "HIVE_BROKER_URL": server.url}
        app = Hive("cost", broker=server.url)
        scaler = subprocess.Popen(
            [HIVE, "autoscale", "--port", "0"], cwd=directory, env=environ, stdout=subprocess.DEVNULL
        )
        try:
            until(lambda: len(app.access.store.scaling_sizes()) == 10, 60)
            found: dict[str, Any] = {"pools": 10, "seconds_each": options.seconds}
            for kind in ("idle", "backlog"):
                if kind == "backlog":
                    with app.batch():
                        for agent in app.agent_types.values():
                            for _ in range(100):
                                app.send_task("nobody", queue=agent.queue)
                    threading.Event().wait(3)
                times, broker = psutil.Process(scaler.pid), psutil.Process(server.process.pid)
                before = [sum(one.cpu_times()[:2]) for one in (times, broker)]
                threading.Event().wait(options.seconds)
                after = [sum(one.cpu_times()[:2]) for one in (times, broker)]
                used = [
                    round(100 * (late - early) / options.seconds, 2) for early, late in zip(before, after, strict=True)
                ]
                found[kind] = {"scaler_percent_of_a_core": used[0], "broker_percent_of_a_core": used[1]}
            return found
        finally:
            scaler.terminate()
            scaler.wait(30)
            server.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("burst", "slots", "processes", "cost"))
    parser.add_argument("--pool", default="prefork", help="of the burst: prefork, asyncio or gevent")
    parser.add_argument("--slots", type=int, default=16, help="of the burst: most slots")
    parser.add_argument("--count", type=int, help="slots to take (1,000), or workers to drain (50)")
    parser.add_argument("--seconds", type=float, help="of the cost: how long to watch each (30); else at most (150)")
    options = parser.parse_args()
    options.count = options.count or {"slots": 1_000, "processes": 50}.get(options.what, 0)
    options.seconds = options.seconds or (30.0 if options.what == "cost" else 150.0)
    record = {
        "benchmark": f"burst {options.what}",
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": os.getloadavg()[0],
    }
    print(json.dumps({**record, **globals()[options.what](options)}, indent=2))


if __name__ == "__main__":
    main()
