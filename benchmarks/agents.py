"""Sleeping agents: what each takes of the broker, and how soon one runs that a message wakes.

    python benchmarks/agents.py [--agents N] [--wakes N] [--per-s RATE] [--state-bytes N] [--seed N]

On a broker of its own, with checkpoints in SQLite. Every agent has run one message, has a state, and is put to sleep, with its
checkpoint. Memory is the broker's ``used_memory`` after that less what it was before and less what ``MEMORY USAGE`` says of
the checkpoints that the broker keeps, divided by the agents.

Then one worker (threads, four slots) serves, and messages for sleeping agents come open-loop, each for another one: from
the call of ``apply_async`` to the first line of the task's body, by the clock of this machine, which runs all of it.
"""

import argparse
import importlib
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from hive.agents.lifecycle import AgentState  # noqa: E402
from tests.support.eventually import eventually  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402
from tests.support.workers import WorkerProcess  # noqa: E402


def put_to_sleep(app: Any, names: list[str], state_bytes: int) -> None:
    """Let agents do something once, with a state, and sleep."""
    store = app.access.store
    app.agents.on_sleep(lambda _name, _last: {"notes": os.urandom(state_bytes // 2).hex()})

    def one(name: str) -> None:
        store.agent_enter(name, f"{name}-m", "celery c 1")
        store.agent_leave(name, [(f"{name}-m", "celery c 1")])
        app.agent(name).sleep("benchmark", drain_s=0)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, names))


def beside_state(client: Any, used_before: int, agents: int) -> float:
    """Return bytes of the broker's memory for each agent, beside its checkpoint."""
    used = int(client.info("memory")["used_memory"]) - used_before
    states = 0
    with client.pipeline(transaction=False) as pipeline:
        for key in client.scan_iter(match="{checkpoint:*", count=1000):
            pipeline.memory_usage(key, samples=0)
        states = sum(pipeline.execute())
    return (used - states) / agents


def wake(module: Any, client: Any, names: list[str], per_s: float) -> list[float]:
    """Send a message to each agent and return the seconds until its body ran."""
    sent: dict[str, float] = {}
    began_s, pause = time.monotonic(), threading.Event()
    for number, name in enumerate(names):
        pause.wait(max(began_s + number / per_s - time.monotonic(), 0))
        at_s = time.time()
        result = module.running.apply_async(agent=name)
        sent[result.id] = at_s
    eventually(lambda: client.hlen("running") == len(names), 60, what="all run")
    return [float(at_s) - sent[id_.decode()] for id_, at_s in client.hgetall("running").items()]


def measure(*, agents: int, wakes: int, per_s: float, state_bytes: int, seed: int) -> dict[str, Any]:
    """Measure both."""
    source, server = random.Random(seed), RedisServer().start()
    with tempfile.TemporaryDirectory() as home:
        try:
            os.environ |= {"DELIVERY_URL": server.url, "HIVE_HOME": home, "DURABLE_NOTES": home}
            module = importlib.reload(importlib.import_module("tests.support.durable_app"))
            client = server.client()
            names = [f"agent-{number}" for number in range(agents)]
            # What the broker keeps once for all agents: scripts, and the first of each key.
            put_to_sleep(module.app, ["first"], state_bytes)
            used = int(client.info("memory")["used_memory"])
            began_s = time.monotonic()
            put_to_sleep(module.app, names, state_bytes)
            asleep_s = time.monotonic() - began_s
            beside = beside_state(client, used, agents)
            store = module.app.access.store
            sleeping = sum(record.state is AgentState.SLEEPING for record in module.app.agents)
            with WorkerProcess(
                server, app="tests.support.durable_app", concurrency=4, environment={"HIVE_HOME": home}
            ) as process:
                process.ready()
                module.running.apply_async(agent=names[0]).get(timeout=20)
                client.delete("running")
                held = store.stats("celery")
                times = sorted(wake(module, client, source.sample(names[1:], wakes), per_s))
            return {
                "agents": agents,
                "sleeping": sleeping - 1,
                "slots_held": held.in_flight,
                "put_to_sleep_per_s": round(agents / asleep_s, 1),
                "broker_bytes_each_beside_state": round(beside),
                "wakes": wakes,
                "wake_to_running_ms": {
                    "p50": round(1000 * statistics.median(times), 1),
                    "p99": round(1000 * times[min(int(0.99 * len(times)), len(times) - 1)], 1),
                    "max": round(1000 * times[-1], 1),
                },
            }
        finally:
            server.close()


def main() -> None:
    """Measure, and print one record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--wakes", type=int, default=500)
    parser.add_argument("--per-s", type=float, default=20.0)
    parser.add_argument("--state-bytes", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    load = os.getloadavg()[0]
    record = measure(**vars(parser.parse_args()))
    print(json.dumps({**record, "load_1min_before": load, "python": platform.python_version()}, indent=2))


if __name__ == "__main__":
    main()
