"""A run of many steps whose worker is killed again and again: what is repeated, and what is marked.

    python benchmarks/steps.py [--steps N] [--kills N] [--pool threads|prefork] [--work-s S] [--seed N]

On a broker of its own. One durable task of N steps; a worker with its pool children is killed with SIGKILL at a random
moment after a step began in its life, and another is started. Each step leaves a line in a file when it begins and when
its work is done. After each kill the steps that the broker knows as done are noted with how often they had begun by then:
if one of them begins once more, a finished step was repeated. A step in flight at a kill runs again, and its record says
how often that happened (also where the kill came before the step's own first line). ``delivery.max_deliveries`` is raised for this: a message under which its worker dies three times
is a dead letter otherwise.
"""

import argparse
import importlib
import json
import os
import platform
import random
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.eventually import eventually  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402
from tests.support.workers import WorkerProcess  # noqa: E402

ENVIRONMENT = {
    "HIVE_DELIVERY_LEASE_S": "1.5",
    "HIVE_DELIVERY_RENEW_EVERY_S": "0.4",
    "HIVE_DELIVERY_REAP_EVERY_S": "0.2",
    "HIVE_BROKER_SOCKET_TIMEOUT_S": "2",
    "HIVE_DELIVERY_MAX_DELIVERIES": "1000",
}


def measure(*, steps: int, kills: int, pool: str, work_s: float, seed: int) -> dict[str, Any]:
    """Run one task to its end under kills, and return what was repeated."""
    source, server = random.Random(seed), RedisServer().start()
    try:
        os.environ |= {"DELIVERY_URL": server.url, "DURABLE_NOTES": str(server.directory)}
        module = importlib.reload(importlib.import_module("tests.support.durable_app"))
        store = module.app.access.store
        result = module.steps.delay(steps, work_s)

        def begun() -> Counter[str]:
            notes = server.directory / f"begun:{result.id}"
            return Counter(notes.read_text().splitlines() if notes.exists() else ())

        finished: dict[str, int] = {}
        made = 0
        while made < kills and not result.ready():
            before = begun().total()
            with worker(server, pool) as process:
                eventually(lambda: begun().total() > before or result.ready(), 60, what="a step begins")  # noqa: B023
                threading.Event().wait(source.random() * 1.5 * work_s)
                process.kill()
            made += 1
            counts = begun()
            done = {step.name[1:] for step in store.run_steps(result.id) if step.state == "done"}
            finished.update({number: counts[number] for number in done if number not in finished})
        with worker(server, pool):
            value = result.get(timeout=steps * work_s + 60)
        counts = begun()
        marks = {step.name[1:]: step.unknown_count for step in store.run_steps(result.id)}
        return {
            "steps": steps,
            "kills": made,
            "result_is_right": value == sum(number * number for number in range(steps)),
            "finished_steps_repeated": sum(counts[number] - count for number, count in finished.items()),
            "in_flight_repeated": counts.total() - len(counts),
            "marked": sum(marks.values()),
            "repeated_and_not_marked": sum(max(count - 1 - marks[number], 0) for number, count in counts.items()),
        }
    finally:
        server.close()


def worker(server: RedisServer, pool: str) -> WorkerProcess:
    """Start a worker; it is killed at the end of the block."""
    return WorkerProcess(server, app="tests.support.durable_app", pool=pool, concurrency=1, environment=ENVIRONMENT)


def main() -> None:
    """Measure, and print one record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pool", default="prefork")
    parser.add_argument("--work-s", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    given = vars(parser.parse_args())
    record = {**measure(**given), "pool": given["pool"], "seed": given["seed"], "python": platform.python_version()}
    print(json.dumps(record, indent=2))
    sys.exit(record["finished_steps_repeated"] or record["repeated_and_not_marked"] or not record["result_is_right"])


if __name__ == "__main__":
    main()
