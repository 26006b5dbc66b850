"""Limits over several processes that are killed now and then, and a small tenant beside a large one's backlog.

    python benchmarks/limits.py [--seconds S] [--processes N] [--kills N] [--seed N] [--backlog N] [--task-ms MS] [--json]

On a broker of its own. Grants: N processes of eight slots reserve, as fast as they may, one request and a random number of tokens of two
limits that one script takes together (100 requests and 10,000 tokens a second), settle half of them by less than they
reserved, and are killed with SIGKILL and replaced. A process writes each grant, with the broker's time from the script's
reply, to a list on the broker *after* it: one killed in between was granted something that is missing here, which makes
utilisation look lower, never higher. What it is about to settle it writes before. Then every second that ends at a grant is added up from that list. Settled amounts
count as settled, the others as reserved.

Fairness: one worker with one slot and `worker.prefetch = 1`, so that a wait is made of whole services. The small tenant
publishes one task after another, at random moments, alone and then beside a backlog of the large one.

Caveats: on a busy machine callers come late when they are told to come again, which costs utilisation. Believe it only if
`load_1min_before` is well below the number of cores.
"""

import argparse
import importlib
import itertools
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import redis

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.settings.parts import DeliverySettings  # noqa: E402
from hive.store import Layout, Store, never_repeating  # noqa: E402
from hive.store.limiting import Granted, Wanted  # noqa: E402
from tests.support.eventually import eventually  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402
from tests.support.workers import WorkerProcess  # noqa: E402

REQUESTS, TOKENS = 100, 10_000
WINDOW_MS = 1_000
GRANTS, SETTLED, READY = "grants", "settled", "ready"

#: Callers of each process, as a worker has slots.
SLOTS = 8


def serve_callers(url: str, seed: int) -> None:
    """Be one process: its slots reserve as fast as the limits allow, until it is killed."""
    slots = [threading.Thread(target=caller, args=(url, f"{seed}-{slot}")) for slot in range(SLOTS)]
    redis.Redis.from_url(url).rpush(READY, seed)
    for slot in slots:
        slot.start()
    slots[0].join()


def caller(url: str, name: str) -> None:
    """Be one slot: reserve, settle, again."""
    rng, pause = random.Random(name), threading.Event()
    client = redis.Redis.from_url(url, retry=never_repeating())
    store = Store(client, layout=Layout(), settings=DeliverySettings())
    for number in itertools.count():
        wanted = [
            Wanted(name="requests:1000:model", most=REQUESTS, window_ms=WINDOW_MS),
            Wanted(name="tokens:1000:model", most=TOKENS, window_ms=WINDOW_MS, amount=rng.randrange(1, 200)),
        ]
        while not isinstance(answer := store.reserve_limits(f"{name}-{number}", wanted), Granted):
            pause.wait((answer.again_ms - answer.now_ms) / 1000)
        amount = wanted[1].amount
        client.rpush(GRANTS, f"{name}-{number} {answer.now_ms} {amount}")
        if rng.random() < 0.5:
            used = rng.randrange(amount // 2, amount + 1)
            client.hset(SETTLED, f"{name}-{number}", used)
            store.settle_limits([(wanted[1], answer.slices[1], used)])


def start_caller(server: RedisServer, seed: int) -> subprocess.Popen[bytes]:
    """Start one process of :func:`serve_callers`."""
    return subprocess.Popen([sys.executable, __file__, "--caller", server.url, str(seed)], cwd=ROOT)


def measure_grants(processes: int, seconds: float, kills: int, seed: int) -> dict[str, Any]:
    """Return how much was granted in the fullest second, and how much of the limits was used."""
    rng, numbers = random.Random(seed), iter(range(seed * 1000, seed * 1000 + 1000))
    server = RedisServer().start()
    running = [start_caller(server, next(numbers)) for _ in range(processes)]
    pause = threading.Event()
    try:
        eventually(lambda: all_ready(server, running), 120, what="all processes")
        # The first second is granted at once, and what follows in even steps.
        pause.wait(2)
        begins_s, begin_ms = time.monotonic(), broker_ms(server)
        for turn in range(kills):
            pause.wait(max(begins_s + (turn + 1) * seconds / (kills + 1) - time.monotonic(), 0))
            place = rng.randrange(processes)
            running[place].send_signal(signal.SIGKILL)
            running[place].wait()
            running[place] = start_caller(server, next(numbers))
        pause.wait(max(begins_s + seconds - time.monotonic(), 0))
        end_ms = broker_ms(server)
    finally:
        for process in running:
            process.kill()
            process.wait()
    lines = [line.decode().split() for line in server.client().lrange(GRANTS, 0, -1)]  # type: ignore[union-attr]
    settled: Any = server.client().hgetall(SETTLED)
    server.close()
    grants = sorted((int(at_ms), int(settled.get(name.encode(), amount))) for name, at_ms, amount in lines)
    return added_up(grants, begin_ms, end_ms)


def all_ready(server: RedisServer, running: list[subprocess.Popen[bytes]]) -> bool:
    """Return whether all processes reserve.

    Raises:
        RuntimeError: one has ended by itself; its traceback is on the standard error.
    """
    if any(process.poll() is not None for process in running):
        raise RuntimeError("a process of the benchmark did not start")
    return bool(server.client().llen(READY) >= len(running))


def broker_ms(server: RedisServer) -> int:
    """Return the broker's time."""
    seconds, microseconds = server.client().time()  # type: ignore[misc]
    return int(seconds) * 1000 + int(microseconds) // 1000


def added_up(grants: list[tuple[int, int]], begin_ms: int, end_ms: int) -> dict[str, Any]:
    """Return the fullest second that ends at a grant, the grants over, and the utilisation from begin to end."""
    fullest = {"requests": 0, "tokens": 0}
    over = oldest = tokens = 0
    for place, (at_ms, used) in enumerate(grants):
        tokens += used
        while grants[oldest][0] <= at_ms - WINDOW_MS:
            tokens -= grants[oldest][1]
            oldest += 1
        requests = place - oldest + 1
        over += requests > REQUESTS or tokens > TOKENS
        fullest = {"requests": max(fullest["requests"], requests), "tokens": max(fullest["tokens"], tokens)}
    steady = [used for at_ms, used in grants if begin_ms < at_ms <= end_ms]
    length_s = (end_ms - begin_ms) / 1000
    shares = {"requests": len(steady) / REQUESTS / length_s, "tokens": sum(steady) / TOKENS / length_s}
    return {
        "grants": len(grants),
        "grants_over": over,
        "fullest_second": fullest,
        # What binds is the limit that is used more of.
        "utilisation": round(max(shares.values()), 4),
        "utilisation_of": {name: round(share, 4) for name, share in shares.items()},
    }


def measure_fairness(backlog: int, small: int, task_s: float, seed: int) -> dict[str, Any]:
    """Return how long a small tenant's tasks wait alone, and beside a backlog of a large tenant."""
    server = RedisServer().start()
    os.environ["DELIVERY_URL"] = server.url
    tasks: Any = importlib.import_module("tests.support.limited_app")
    waits: dict[str, list[float]] = {}
    try:
        options = {"app": "tests.support.limited_app", "environment": {"HIVE_WORKER_PREFETCH": "1"}}
        with WorkerProcess(server, concurrency=1, **options).ready():  # type: ignore[arg-type]
            waits["alone"] = small_waits_s(server, tasks, small, task_s, seed)
            with tasks.app.batch():
                for _ in range(backlog):
                    tasks.serve.delay("large", task_s)
            waits["beside"] = small_waits_s(server, tasks, small, task_s, seed)
        left = tasks.app.access.store.stats("celery").behind
    finally:
        server.close()
    p99 = {name: quantile(found, 0.99) for name, found in waits.items()}
    return {
        "backlog": backlog,
        "backlog_left": left,
        "small": small,
        "service_s": task_s,
        "wait_p50_s": {name: round(statistics.median(found), 4) for name, found in waits.items()},
        "wait_p99_s": {name: round(value, 4) for name, value in p99.items()},
        "services_more_at_p99": round((p99["beside"] - p99["alone"]) / task_s, 2),
    }


def small_waits_s(server: RedisServer, tasks: Any, count: int, task_s: float, seed: int) -> list[float]:
    """Publish the small tenant's tasks one by one at random moments; return how long each waited for its start."""
    rng, client, pause = random.Random(seed), server.client(), threading.Event()
    waits = []
    for _ in range(count):
        pause.wait(rng.uniform(0, 2 * task_s))
        seconds, microseconds = client.time()  # type: ignore[misc]
        result = tasks.serve.delay("small", task_s)
        result.get(timeout=60)
        for line in reversed(client.lrange("trace", -20, -1)):  # type: ignore[arg-type]
            id_, _, at_us = line.decode().split()
            if id_ == result.id:
                waits.append(int(at_us) / 1e6 - seconds - microseconds / 1e6)
                break
    return waits


def quantile(values: list[float], share: float) -> float:
    """Return the value below which the given share of them lies."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def main() -> None:
    """Measure both and print one record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--caller", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backlog", type=int, default=1_000)
    parser.add_argument("--small", type=int, default=60)
    parser.add_argument("--task-ms", type=float, default=200)
    parser.add_argument("--json", action="store_true", help="print JSON only")
    chosen = parser.parse_args()
    if chosen.caller:
        serve_callers(chosen.caller[0], int(chosen.caller[1]))
        return
    load = os.getloadavg()[0]
    grants = measure_grants(chosen.processes, chosen.seconds, chosen.kills, chosen.seed)
    fairness = measure_fairness(chosen.backlog, chosen.small, chosen.task_ms / 1000, chosen.seed)
    record = {
        "processes": chosen.processes,
        "seconds": chosen.seconds,
        "kills": chosen.kills,
        "seed": chosen.seed,
        "limits": {"requests_per_s": REQUESTS, "tokens_per_s": TOKENS},
        "grants": grants,
        "fairness": fairness,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_1min_before": round(load, 2),
    }
    if not chosen.json:
        held = grants["grants_over"] == 0 and grants["utilisation"] >= 0.95 and fairness["services_more_at_p99"] <= 2
        print(
            f"bars {'held' if held else 'MISSED'}: 0 grants over, 95 % used, the small tenant at most 2 services later"
        )
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
