"""Long tasks, frozen workers, and messages that wait for their time."""

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psutil
import redis
from celery import chain

from hive.clock import SystemClock
from tests.chaos.fleet import Fleet, Worker
from tests.chaos.ledger import Verdict
from tests.chaos.run import Report, Run, now_s, quantile
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


def long_tasks(run: Run, server: RedisServer) -> Report:
    """Tasks many times as long as the lease, on a saturated machine, start once."""
    delivery = {"lease_s": 2.0, "renew_every_s": 0.5, "reap_every_s": 0.15}
    slots, tasks, seconds = run.pick(25, 125), run.pick(50, 1_000), run.pick(8.0, 40.0)
    with Fleet(server, concurrency=slots, delivery=delivery, prefetch=1) as fleet, busy_cores():
        fleet.start(2)
        fleet.publish([str(number) for number in range(tasks)], arguments=(seconds,))
        fleet.until_finished(tasks, 60 + seconds * tasks / slots)
        verdict = fleet.ledger.verdict(dead=fleet.dead())
    return Report(verdict=verdict, figures={"leases_per_task": seconds / delivery["lease_s"]})


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy with a process of low priority's opposite: the same as everybody's."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(psutil.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def frozen_worker(run: Run, server: RedisServer) -> Report:
    """A worker is stopped past its lease, its work is done elsewhere, and then it goes on: nothing it says counts."""
    tasks = run.pick(8, 100)
    with Fleet(server, concurrency=2 * tasks, delivery=run.delivery, prefetch=1, slow=("w0",), slow_s=2.0) as fleet:
        first = fleet.start()[0]
        work = fleet.app.tasks["chaos.work"]
        plain = [work.delay(f"plain{number}", 0.1) for number in range(tasks)]
        results = [chain(work.si(f"{number}", 0.1), work.si(f"{number}next", 0.0)).delay() for number in range(tasks)]
        fleet.ledger.published |= {f"{number}{step}" for number in range(tasks) for step in ("", "next")}
        fleet.ledger.published |= {f"plain{number}" for number in range(tasks)}
        eventually(lambda: len(fleet.ledger.of("s")) == 2 * tasks, what="all started on the first")
        first.signal(signal.SIGSTOP)
        fleet.faulted.add(first.name)
        second = fleet.start()[0]
        fleet.until_finished(3 * tasks, 60)
        first.signal(signal.SIGCONT)
        eventually(lambda: finishes_of(fleet, first) == 2 * tasks, what="the first finishes too late")
        fleet.terminate(first)
        owners = [result.get(timeout=60) for chained in results for result in (chained.parent, chained)]
        owners += [result.get(timeout=60) for result in plain]
        next_starts = sum(len(fleet.ledger.starts[f"{number}next"]) for number in range(tasks))
        verdict = fleet.ledger.verdict(ended=fleet.faulted, dead=fleet.dead())
    figures = {
        "accepted_from_the_old": float(sum(owner != second.name for owner in owners)),
        "next_steps_too_many": float(next_starts - tasks),
    }
    return Report(verdict=verdict, figures=figures, bounds=dict.fromkeys(figures, 0))


def finishes_of(fleet: Fleet, worker: Worker) -> int:
    """Return how many tasks came to their end on a worker."""
    return sum(effect.worker == worker.name for effect in fleet.ledger.of("f"))


def due_times(run: Run, server: RedisServer) -> Report:
    """Messages with an eta start in time although workers are killed meanwhile, and wait in no worker's memory."""
    tasks, kills = run.pick(300, 10_000), run.pick(1, 5)
    first_s, last_s = run.pick((2.0, 6.0), (30.0, 90.0))
    with Fleet(server, concurrency=4, delivery=run.delivery) as fleet:
        fleet.start(2)
        before_mb = memory_mb(fleet)
        began, began_s = datetime.fromtimestamp(SystemClock().wall_ms() / 1000, UTC), now_s()
        due = {str(number): run.rng.uniform(first_s, last_s) for number in range(tasks)}
        for id_, countdown_s in due.items():
            fleet.publish([id_], eta=began + timedelta(seconds=countdown_s))
        grown_mb = memory_mb(fleet) - before_mb
        for kill in range(kills):
            moment_s = began_s + first_s + (last_s - first_s) * (kill + 0.5) / kills
            eventually(lambda moment_s=moment_s: now_s() >= moment_s, 120, what="the moment of the kill")  # type: ignore[misc]
            fleet.kill(run.rng.choice(fleet.workers))
            fleet.start(wait=False)
        fleet.until_finished(tasks, 120)
        late = [fleet.ledger.starts[id_][0].at_s - began_s - countdown_s for id_, countdown_s in due.items()]
        verdict = fleet.ledger.verdict(ended=fleet.faulted, dead=fleet.dead())
    figures = {"late_p50_s": quantile(late, 0.5), "late_p99_s": quantile(late, 0.99), "early_max_s": -min(late)}
    figures["grown_mb"] = grown_mb
    return Report(
        verdict=verdict, figures=figures, bounds={"late_p99_s": run.pick(5, 1), "early_max_s": 0.01, "grown_mb": 4}
    )


def steady_memory(run: Run, server: RedisServer) -> Report:
    """Very many tasks and reconnects go through one worker: its main process does not grow with them."""
    tasks, reconnects, from_task = run.pick((6_000, 3, 3_000), (1_000_000, 100, 200_000))
    counts: list[int] = []
    with Fleet(server, delivery=run.delivery, prefetch=64) as fleet, contextlib.closing(server.client()) as client:
        fleet.start()
        done = (fleet.directory / "count").stat
        feeder = threading.Thread(target=feed, args=(fleet, tasks))
        feeder.start()
        eventually(lambda: done().st_size >= from_task, 600, 0.1, what="warmed up")
        before_mb = memory_mb(fleet)
        for cut in range(1, reconnects + 1):
            due = from_task + (tasks - from_task) * cut // (reconnects + 1)
            eventually(lambda due=due: done().st_size >= due, 600, 0.05, what=f"{due} tasks")  # type: ignore[misc]
            counts.append(cut_workers(client))
        feeder.join()
        eventually(lambda: done().st_size >= tasks, 600, 0.1, what="all tasks")
        grown_mb = memory_mb(fleet) - before_mb
        again = done().st_size - tasks
        verdict = Verdict(lost=fleet.backlog(), duplicated=0, recovered=again, unexpected=counts.count(0))
    return Report(verdict=verdict, figures={"grown_mb": grown_mb, "started_again": again}, bounds={"grown_mb": 8})


def cut_workers(client: redis.Redis) -> int:
    """Let the broker close every connection but those of this process; returns how many there were."""
    ours = {connection.laddr.port for connection in psutil.Process().net_connections("tcp")}
    others = [found["addr"] for found in client.client_list() if int(found["addr"].rpartition(":")[2]) not in ours]
    return sum(client.client_kill_filter(addr=address) for address in others)


def feed(fleet: Fleet, tasks: int) -> None:
    """Publish no-ops in batches, a bounded number ahead of the workers, whatever happens to the connection."""
    counted, ahead, published = fleet.app.tasks["chaos.count"], 20_000, 0
    while published < tasks:
        size = min(500, tasks - published)
        eventually(lambda: fleet.backlog() < ahead, 600, 0.05, what="room for more")
        with fleet.app.batch():
            for _ in range(size):
                counted.apply_async(ignore_result=True)
        published += size


def memory_mb(fleet: Fleet) -> float:
    """Return the resident megabytes of the largest of the workers' main processes."""
    return max(psutil.Process(worker.process.pid).memory_info().rss for worker in fleet.workers) / 2**20
