"""What is measured: each function takes one figure set of one side in one round."""

import random
import statistics
import struct
import threading
from collections import Counter
from dataclasses import dataclass

from hive.cli.bench.side import Bench, Side, seen
from hive.clock import SystemClock

Figures = dict[str, float]

#: Part of the backlog worked off before the clock starts: pools fork, connections open.
WARM_UP = 0.1

#: Seconds a whole backlog may take.
DRAIN_TIMEOUT_S = 900.0

#: Messages sent before idle latency is taken, and seconds between two.
LATENCY_WARM_UP = 20
LATENCY_EVERY_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much work.

    Attributes:
        tasks: messages.
        seconds: what each waits, where the work waits.
        kills: how often all workers are killed.
        limit_s: seconds after the last restart when a missing task counts as lost.
        seed: of the moments of the kills.
    """

    tasks: int
    seconds: float = 0.0
    kills: int = 0
    limit_s: float = 60.0
    seed: int = 1


def throughput(bench: Bench, amount: Amount) -> Figures:
    """No-op tasks a second off a backlog, and client requests, CPU seconds and memory beside it."""
    enqueue_s = bench.publish("noop", amount.tasks)
    bench.start(wait=False)
    first = max(int(amount.tasks * WARM_UP), 1)
    began_s = bench.until(lambda: bench.size("done") >= first, DRAIN_TIMEOUT_S, "the first tasks")
    done, requests, (cpu_s, _) = bench.size("done"), bench.broker.requests(), bench.usage()
    ended_s = bench.until(lambda: bench.size("done") >= amount.tasks, DRAIN_TIMEOUT_S, f"{amount.tasks} tasks")
    after, (cpu_after_s, memory_mb) = bench.broker.requests(), bench.usage()
    measured = amount.tasks - done
    bench.stop()
    return {
        "tasks_per_s": measured / (ended_s - began_s),
        "requests_per_task": (after - requests) / measured,
        "cpu_ms_per_task": (cpu_after_s - cpu_s) / measured * 1e3,
        "memory_mb": memory_mb,
        "enqueued_per_s": amount.tasks / enqueue_s,
        "run_more_than_once": float(bench.size("done") - amount.tasks),
    }


def latency(bench: Bench, amount: Amount) -> Figures:
    """Milliseconds from ``.delay()`` to the start of the task while nothing else is to do, and requests of idling."""
    bench.start()
    bench.publish("paced", LATENCY_WARM_UP, LATENCY_EVERY_S)
    record = struct.calcsize("<qq")
    bench.until(lambda: bench.size("latency") >= LATENCY_WARM_UP * record, 60.0, "the warm-up")
    bench.publish("paced", amount.tasks, LATENCY_EVERY_S)
    wanted = (LATENCY_WARM_UP + amount.tasks) * record
    bench.until(lambda: bench.size("latency") >= wanted, 60.0, "all tasks")
    idle_per_s = _idle_requests(bench)
    pairs = list(struct.iter_unpack("<qq", (bench.directory / "latency").read_bytes()))[LATENCY_WARM_UP:]
    values = sorted((started - sent) / 1e6 for sent, started in pairs)
    bench.stop()
    return {
        "p50_ms": statistics.median(values),
        "p95_ms": values[int(len(values) * 0.95)],
        "p99_ms": values[int(len(values) * 0.99)],
        "idle_requests_per_s": idle_per_s / bench.conditions.processes,
    }


def _idle_requests(bench: Bench, over_s: float = 5.0) -> float:
    before = bench.broker.requests()
    threading.Event().wait(over_s)
    # The second look is itself one request.
    return (bench.broker.requests() - before - 1) / over_s


def enqueue(bench: Bench, amount: Amount) -> Figures:
    """Messages a second that one process publishes, without workers.

    In bulk hive publishes with ``app.batch()``; stock Celery has nothing of the kind, so its ``.delay()`` stands there.
    """
    before = bench.broker.requests()
    seconds = bench.publish("noop", amount.tasks)
    figures = {
        "delay_per_s": amount.tasks / seconds,
        "requests_per_delay": (bench.broker.requests() - before) / amount.tasks,
    }
    way = "batch" if bench.side is Side.HIVE else "noop"
    return figures | {"bulk_per_s": amount.tasks / bench.publish(way, amount.tasks)}


def waiting(bench: Bench, amount: Amount) -> Figures:
    """Seconds that tasks which only wait take at full concurrency, with CPU and memory."""
    bench.start()
    cpu_s, _ = bench.usage()
    began_s = SystemClock().monotonic_s()
    bench.publish("wait", amount.tasks, amount.seconds)
    ended_s = bench.until(lambda: bench.size("done") >= amount.tasks, DRAIN_TIMEOUT_S, "all tasks")
    cpu_after_s, memory_mb = bench.usage()
    bench.stop()
    slots = bench.conditions.concurrency * bench.conditions.processes
    return {
        "seconds": ended_s - began_s,
        "ideal_seconds": amount.tasks / slots * amount.seconds,
        "cpu_s": cpu_after_s - cpu_s,
        "memory_mb": memory_mb,
    }


def crash(bench: Bench, amount: Amount) -> Figures:
    """Kill all workers at random moments, start them again, and count what is lost and what runs again."""
    bench.publish("ident", amount.tasks, amount.seconds)
    moments, pause = random.Random(amount.seed), threading.Event()  # noqa: S311 - a seeded run can be repeated
    bench.start()
    for _ in range(amount.kills):
        base = len(_finished(bench))
        # Stock Celery may have nothing left to work on until its visibility timeout: the kill is due all the same.
        seen(lambda base=base: len(_finished(bench)) > base, amount.limit_s / 4, every_s=0.02)  # type: ignore[misc]
        pause.wait(moments.random() * 0.3)
        bench.kill()
        bench.start()
    recovered_after_s = _recovery(bench, amount)
    bench.stop()
    starts = Counter(line[2:] for line in _effects(bench) if line.startswith("s "))
    finished = _finished(bench)
    return {
        "lost": float(amount.tasks - len(finished)),
        "started_again": float(sum(starts.values()) - len(starts)),
        "finished_more_than_once": float(sum(finished.values()) - len(finished)),
        "recovered_after_s": recovered_after_s,
    }


def _recovery(bench: Bench, amount: Amount) -> float:
    """Return the seconds from now to the last task that finished anew, watching for ``limit_s`` at most."""
    clock = SystemClock()
    restarted_s = last_s = clock.monotonic_s()
    count = 0

    def complete() -> bool:
        nonlocal count, last_s
        found = len(_finished(bench))
        if found != count:
            count, last_s = found, clock.monotonic_s()
        return count >= amount.tasks

    seen(complete, amount.limit_s, every_s=0.05)
    return last_s - restarted_s


def _effects(bench: Bench) -> list[str]:
    path = bench.directory / "effects"
    return path.read_text().splitlines() if path.exists() else []


def _finished(bench: Bench) -> Counter[str]:
    return Counter(line[2:] for line in _effects(bench) if line.startswith("f "))
