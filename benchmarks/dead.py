"""What dead letters cost: a redrive of many, and healthy tasks beside as many poison messages.

    python benchmarks/dead.py [--messages N] [--rounds N] [--task-ms MS] [--pool POOL] [--slots N]

On a broker of its own. Redrive: N calls are set aside and redriven, their ids and bytes compared with what was published.
Poison: one worker does N healthy tasks alone, then N healthy ones with N poison messages between them (no JSON, no
envelope, no body, wrong arguments, in turn), and what a poison message costs is the difference; and, for comparison, N
healthy ones with N other healthy ones between them. Prints one JSON record.

Caveats: the poison that has no id is cheaper than one that has, because nobody waits for its result; of the four kinds
here two have one. Healthy tasks wait `--task-ms` and do nothing else; with no-op tasks (`--task-ms 0`) the worker's own
work is all there is, and any message shows in full: there the fair question is whether poison costs a healthy task more than
another healthy task would (`ratio_beside_healthy`). Believe it only if `load_1min_before` is well below the number of cores.
"""

import argparse
import base64
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive import Hive  # noqa: E402
from hive.deadletter import DeadLetters, Selection  # noqa: E402
from hive.settings.load import load_settings  # noqa: E402
from hive.store.condemned import Condemned  # noqa: E402
from hive.store.store import Store  # noqa: E402
from hive.store.values import ConsumerInfo  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402

app = Hive("dead", broker=os.environ.get("DEAD_BROKER", "redis://127.0.0.1:1/0"), settings=load_settings())
app.conf.update(worker_send_task_events=False)


@app.task(name="dead.healthy", ignore_result=True)
def healthy(wait_s: float) -> None:
    """Wait, as for a model or a tool."""
    if wait_s:
        threading.Event().wait(wait_s)


def poison(number: int) -> bytes:
    """Return a message that cannot succeed, one of four kinds in turn."""
    properties = {"delivery_tag": f"poison-{number}", "body_encoding": "base64", "delivery_info": {}}
    headers = {"task": "dead.healthy", "id": f"poison-{number}", "retries": 0, "ignore_result": True}
    envelope = {"content-type": "application/json", "content-encoding": "utf-8", "properties": properties}
    bodies = {2: b"no body", 3: b"[[1, 2, 3], {}, {}]"}
    if number % 4 == 0:
        return b"\xff\x00 poison %d" % number
    if number % 4 == 1:
        return json.dumps([number]).encode()
    return json.dumps({**envelope, "headers": headers, "body": base64.b64encode(bodies[number % 4]).decode()}).encode()


def publish(count: int, wait_s: float) -> list[bytes]:
    """Publish healthy calls and return their envelopes, without a worker to take them."""
    for _ in range(0, count, 1_000):
        with app.batch():
            for _ in range(min(count, 1_000)):
                healthy.delay(wait_s)
    return store().client.lrange("celery", 0, -1)


def store() -> Store:
    """Return the store of the benchmark's broker."""
    found: Store = app.access.store
    return found


def measure_redrive(count: int) -> dict[str, Any]:
    """Set ``count`` calls aside, redrive them all, and compare."""
    published = publish(count, 0.0)
    broker = store()
    broker.register("bench", ["celery"], ConsumerInfo(node="bench", pid=1, version="0", started_ms=1))
    sequence = 0
    while True:
        sequence += 1
        batch = broker.claim("bench", ["celery"], sequence=sequence, credit=100).deliveries
        if not batch:
            break
        broker.set_aside("bench", [Condemned(id=one.id, reason="bench", cause="bench") for one in batch])
    letters = DeadLetters(broker, ["celery"])
    began_s = time.perf_counter()
    kinds = len(letters.kinds())
    grouped_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    moved = letters.redrive(Selection())
    seconds = time.perf_counter() - began_s
    after = broker.client.lrange("celery", 0, -1)
    broker.unregister("bench", ["celery"])
    broker.purge("celery")
    return {
        "letters": count,
        "seconds": round(seconds, 3),
        "grouping_seconds": round(grouped_s, 3),
        "kinds": kinds,
        "moved": moved,
        "byte_identical": Counter(after) == Counter(published),
        "left": broker.dead_count("celery"),
    }


def measure_poison(count: int, wait_s: float, pool: str, slots: int, seed: int, between: str) -> dict[str, Any]:
    """Let a fresh worker do ``count`` healthy tasks, alone or with as many healthy or poison messages between them."""
    broker = store()
    messages = publish(count * (2 if between == "healthy" else 1), wait_s)
    if between == "poison":
        messages += [poison(number) for number in range(count)]
        random.Random(seed).shuffle(messages)
        broker.client.delete("celery")
        for place in range(0, len(messages), 1_000):
            broker.client.lpush("celery", *messages[place : place + 1_000])
    before = broker.dead_count("celery")
    worker = start_worker(pool, slots)
    try:
        process = psutil.Process(worker.pid)
        wait_for(lambda: broker.client.llen("celery") < len(messages))
        began_s, rss = time.perf_counter(), process.memory_info().rss
        cpu_s = sum(process.cpu_times()[:2])
        wait_for(lambda: is_done(broker))
        seconds = time.perf_counter() - began_s
        return {
            "seconds": seconds,
            "healthy_per_s": count / seconds,
            "worker_cpu_s": sum(process.cpu_times()[:2]) - cpu_s,
            "rss_growth_mb": (process.memory_info().rss - rss) / 1e6,
            "dead": broker.dead_count("celery") - before,
        }
    finally:
        worker.terminate()
        worker.wait(30)


def is_done(broker: Store) -> bool:
    """Whether nothing waits and nothing runs."""
    stats = broker.stats("celery")
    return not sum(stats.ready.values()) and not stats.in_flight


def wait_for(condition: Any, timeout_s: float = 300.0) -> None:
    """Return once a condition holds, looked at 50 times a second."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the worker is not done")
        pause.wait(0.02)


def start_worker(pool: str, slots: int) -> "subprocess.Popen[bytes]":
    """Start a worker of this module's application."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "dead:app",
        "worker",
        "-P",
        pool,
        "-c",
        str(slots),
        "-l",
        "CRITICAL",
    ]
    command += ["-Q", "celery", "--without-mingle", "--without-gossip"]
    return subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Measure, and print the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--task-ms", type=float, default=5.0)
    parser.add_argument("--pool", default="threads")
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    server = RedisServer().start()
    try:
        os.environ.update(DEAD_BROKER=server.url, HIVE_HOME=str(server.directory / "home"))
        app.conf.broker_url = server.url
        redrives = [measure_redrive(options.messages) for _ in range(options.rounds)]
        rounds = [
            {
                name: measure_poison(
                    options.messages, options.task_ms / 1000, options.pool, options.slots, options.seed, between
                )
                for name, between in (("alone", ""), ("beside_healthy", "healthy"), ("mixed", "poison"))
            }
            for _ in range(options.rounds)
        ]
    finally:
        app.close()
        server.close()
    print(json.dumps(record(options, load, redrives, rounds), indent=2))


def record(options: Any, load: float, redrives: list[Any], rounds: list[Any]) -> dict[str, Any]:
    """Return what was measured, with its conditions."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    ratios = [one["mixed"]["healthy_per_s"] / one["alone"]["healthy_per_s"] for one in rounds]
    beside = [one["mixed"]["healthy_per_s"] / one["beside_healthy"]["healthy_per_s"] for one in rounds]
    extra_cpu_s = [one["mixed"]["worker_cpu_s"] - one["alone"]["worker_cpu_s"] for one in rounds]
    return {
        "commit": commit.stdout.strip() or None,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "load_1min_before": load,
        "options": vars(options),
        "redrive": redrives,
        "poison": rounds,
        "redrive_seconds_median": statistics.median(one["seconds"] for one in redrives),
        "healthy_throughput_ratio_median": round(statistics.median(ratios), 3),
        "healthy_throughput_ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        "ratio_beside_healthy_median": round(statistics.median(beside), 3),
        "ratio_beside_healthy_spread": [round(min(beside), 3), round(max(beside), 3)],
        "worker_cpu_ms_per_poison_median": round(statistics.median(extra_cpu_s) * 1000 / options.messages, 4),
        "rss_growth_mb_median": round(statistics.median(one["mixed"]["rss_growth_mb"] for one in rounds), 1),
    }


if __name__ == "__main__":
    main()
