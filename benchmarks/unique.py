"""Unique tasks and a bounded queue under eight producers, while workers are killed.

    python benchmarks/unique.py [--producers N] [--publishes N] [--keys N] [--bound N] [--kills N] [--seed N]

On a broker of its own. Unique: each producer publishes `--publishes` calls of `--keys` keys in an order of its own, while
two workers run them and are killed with SIGKILL and replaced; then every key must have one task, and every task must have
ended once. Bound: each producer publishes into a queue that may hold `--bound` messages, with a consumer beside; what waits
is counted on the broker at one instant again and again. Prints one JSON record; exits with 1 if a bar is missed.

Caveats: producers and workers share the cores, so the rates say little; the counts are what this is for. A task whose worker
is killed runs again: `runs` counts bodies that began, `tasks_that_ran` of how many tasks.
"""

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive import Hive, QueueFull, Unique  # noqa: E402
from hive.settings.load import load_settings  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402

BOUND = int(os.environ.get("UNIQUE_BOUND", "1000"))
settings = load_settings(
    backpressure={
        "queues": {
            "raises": {"max_length": BOUND},
            "waits": {"max_length": BOUND, "when_full": "wait", "wait_s": 30},
            "sheds": {"max_length": BOUND, "when_full": "shed"},
        }
    },
    delivery={"lease_s": 1.8, "renew_every_s": 0.5, "reap_every_s": 0.3},
    broker={"socket_timeout_s": 3.0},
)
url = os.environ.get("UNIQUE_BROKER", "redis://127.0.0.1:1/0")
app = Hive("unique", broker=url, backend=url, settings=settings)


@app.task(name="unique.once", bind=True, unique=Unique(within_s=3600, until="time"))
def once(self: Any, key: int) -> int:
    """Say that it began, take its time, and return its key."""
    app.access.store.client.rpush("unique-runs", self.request.id)
    threading.Event().wait(0.05)
    return key


@app.task(name="unique.nothing", ignore_result=True)
def nothing(number: int) -> None:
    """Do nothing."""


def publish_keys(place: int, publishes: int, keys: int, seed: int, found: Any) -> None:
    """Publish calls of all keys in a random order, and report which task each key has."""
    order = [number % keys for number in range(publishes)]
    random.Random(seed + place).shuffle(order)
    ids: dict[int, set[str]] = {}
    for key in order:
        ids.setdefault(key, set()).add(once.delay(key).id)
    found.put({key: sorted(known) for key, known in ids.items()})


def publish_bounded(queue: str, publishes: int, found: Any) -> None:
    """Publish into a bounded queue, and report how many calls were refused."""
    refused = 0
    for number in range(publishes):
        try:
            nothing.apply_async((number,), queue=queue, priority=9 if number % 2 else 0)
        except QueueFull:
            refused += 1
    found.put(refused)


def in_processes(count: int, target: Callable[..., None], *arguments: Any) -> list[Any]:
    """Run a function in as many processes, and return what each reports."""
    context = get_context("fork")
    found = context.Queue()
    processes = [
        context.Process(target=target, args=(*((place,) if target is publish_keys else ()), *arguments, found))
        for place in range(count)
    ]
    for process in processes:
        process.start()
    reports = [found.get() for _ in processes]
    for process in processes:
        process.join()
    return reports


def start_worker(queue: str) -> "subprocess.Popen[bytes]":
    """Start a worker of this module's application."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "unique:app",
        "worker",
        "-P",
        "threads",
        "-c",
        "8",
        "-l",
        "CRITICAL",
    ]
    command += ["-Q", queue, "--without-mingle", "--without-gossip", "-n", f"{os.urandom(4).hex()}@unique"]
    return subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def measure_unique(options: Any) -> dict[str, Any]:
    """Publish, kill, and count what every key came to."""
    chance, workers, kills = random.Random(options.seed), [start_worker("celery") for _ in range(2)], 0
    store, is_over = app.access.store, threading.Event()

    def kill() -> None:
        nonlocal kills
        while kills < options.kills and not is_over.wait(chance.uniform(0.5, 2.0)):
            place = chance.randrange(len(workers))
            workers[place].send_signal(signal.SIGKILL)
            workers[place].wait()
            workers[place] = start_worker("celery")
            kills += 1

    killer = threading.Thread(target=kill)
    began_s = time.perf_counter()
    wait_until(lambda: store.stats("celery").consumers == len(workers))
    app.close()
    killer.start()
    try:
        reports = in_processes(options.producers, publish_keys, options.publishes, options.keys, options.seed)
        seconds = time.perf_counter() - began_s
        killer.join()
        wait_until(lambda: not any(store.stats("celery").ready.values()) and not store.stats("celery").in_flight)
    finally:
        is_over.set()
        for worker in workers:
            worker.kill()
            worker.wait()
    ids: dict[int, set[str]] = {}
    for report in reports:
        for key, known in report.items():
            ids.setdefault(key, set()).update(known)
    return {
        "publishes": options.producers * options.publishes,
        "keys": len(ids),
        "tasks_of_a_key_most": max(map(len, ids.values())),
        "kills": kills,
        "publishes_per_s": round(options.producers * options.publishes / seconds),
        **what_ran({one for known in ids.values() for one in known}),
    }


def what_ran(ids: set[str]) -> dict[str, Any]:
    """Return how the tasks ended, of those that were handed out and of any others."""
    store = app.access.store
    runs = Counter(one.decode() for one in store.client.lrange("unique-runs", 0, -1))
    states = Counter(app.AsyncResult(id_).state for id_ in ids)
    counters = store.stats("celery").counters
    return {
        "tasks": len(ids),
        "states": dict(states),
        "runs": sum(runs.values()),
        "tasks_that_ran": len(runs),
        "ran_unknown": len(runs.keys() - ids),
        "dead": store.dead_count("celery"),
        "twins": counters.get("twins", 0),
        "refused_steps": counters.get("refused", 0),
    }


def measure_bound(queue: str, options: Any) -> dict[str, Any]:
    """Publish into a bounded queue with one worker beside, and count what waits."""
    store, most, is_over = app.access.store, 0, threading.Event()
    ready = store.queue_keys(queue).ready
    script = "local n = 0; for _, key in ipairs(KEYS) do n = n + redis.call('LLEN', key) end return n"

    def count() -> None:
        nonlocal most
        while not is_over.wait(0.001):
            most = max(most, store.client.eval(script, len(ready), *ready))

    worker, counting = start_worker(queue), threading.Thread(target=count)
    counting.start()
    try:
        wait_until(lambda: store.stats(queue).consumers == 1)
        refused = sum(in_processes(options.producers, publish_bounded, queue, options.publishes // 4))
        wait_until(lambda: not any(store.stats(queue).ready.values()) and not store.stats(queue).in_flight)
    finally:
        is_over.set()
        counting.join()
        worker.kill()
        worker.wait()
    published, dead = options.producers * (options.publishes // 4), store.dead_count(queue)
    return {
        "published": published,
        "refused": refused,
        "shed": dead,
        "done": published - refused - dead,
        "most_waiting": most,
    }


def wait_until(condition: Callable[[], bool], timeout_s: float = 300.0) -> None:
    """Return once a condition holds."""
    deadline, pause = time.monotonic() + timeout_s, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the workers are not done")
        pause.wait(0.05)


def main() -> None:
    """Measure, and print the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--producers", type=int, default=8)
    parser.add_argument("--publishes", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=1_000)
    parser.add_argument("--bound", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if "UNIQUE_BROKER" not in os.environ:
        server = RedisServer().start()
        try:
            variables = {
                "UNIQUE_BROKER": server.url,
                "UNIQUE_BOUND": str(options.bound),
                "HIVE_HOME": str(server.directory),
            }
            sys.exit(subprocess.call([sys.executable, *sys.argv], env={**os.environ, **variables}))
        finally:
            server.close()
    record = {
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "options": vars(options),
        "unique": measure_unique(options),
        "bounds": {queue: measure_bound(queue, options) for queue in ("raises", "waits", "sheds")},
    }
    print(json.dumps(record, indent=2))
    one = record["unique"]
    holds = one["tasks_of_a_key_most"] == 1 and one["states"] == {"SUCCESS": one["keys"]} and not one["ran_unknown"]
    bounded = all(bound["most_waiting"] <= options.bound for bound in record["bounds"].values())
    sys.exit(0 if holds and bounded else 1)


if __name__ == "__main__":
    main()
