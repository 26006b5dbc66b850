"""Workers and pool children that die, and messages that kill."""

import signal
import threading

from tests.chaos.fleet import Fleet, Worker
from tests.chaos.run import Report, Run, now_s, quantile
from tests.chaos.workload import QUEUE
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


def killed_workers(run: Run, server: RedisServer) -> Report:
    """Whole workers are killed at random moments and started again."""
    tasks, kills = run.pick(600, 20_000), run.pick(4, 20)
    with Fleet(server, pool="prefork", concurrency=2, delivery=run.delivery) as fleet:
        fleet.start(2)
        fleet.publish([str(number) for number in range(tasks)], arguments=(0.01,))
        for kill in range(kills):
            fleet.until_finished(int(tasks * (kill + 0.5) / kills * 0.95), 120)
            run.pause(0.2)
            fleet.kill(run.rng.choice(fleet.workers))
            fleet.start(wait=False)
        restarted_s = now_s()
        fleet.until_finished(tasks, 120)
        last_s = max(effect.at_s for effect in fleet.ledger.of("f"))
        verdict = fleet.ledger.verdict(ended=fleet.faulted, dead=fleet.dead())
    return Report(
        verdict=verdict,
        figures={"done_after_s": last_s - restarted_s, "kills": kills},
        bounds={"done_after_s": run.pick(40, 15)},
    )


def reclaimed(run: Run, server: RedisServer) -> Report:
    """A worker with a thousand messages in flight is killed while another lives: when do they run elsewhere?"""
    tasks, kills = run.pick(300, 1_000), run.pick(1, 30)
    delays: list[float] = []
    held: list[int] = []
    with Fleet(server, concurrency=4, delivery=run.delivery, prefetch=tasks // 3, hoard=2 * tasks) as fleet:
        for kill in range(kills):
            first = fleet.start(slow=tuple(f"w{number}" for number in range(0, 2 * kills, 2)), slow_s=3_600)[0]
            # More than it may hold: it claims once a quarter of its limit is free, so it holds less than that in the end.
            fleet.publish([f"{kill}-{number}" for number in range(tasks + tasks // 2)])
            eventually(lambda: fleet.store().stats(QUEUE).in_flight >= tasks * 0.95, what="nearly all in flight")
            second = fleet.start()[0]
            eventually(lambda: fleet.backlog() == 0, what="the rest is done elsewhere")
            held.append(fleet.store().stats(QUEUE).in_flight)
            run.pause(1.5)
            killed_s = now_s()
            fleet.kill(first)
            fleet.until_finished((tasks + tasks // 2) * (kill + 1), 60)
            starts = (start.at_s - killed_s for start in fleet.ledger.of("s") if start.worker == second.name)
            delays += [delay for delay in starts if delay >= 0]
            fleet.terminate(second)
        verdict = fleet.ledger.verdict(ended=fleet.faulted, dead=fleet.dead())
    figures = {"p50_s": quantile(delays, 0.5), "p99_s": quantile(delays, 0.99), "kills": kills, "held_min": min(held)}
    return Report(verdict=verdict, figures=figures, bounds={"p50_s": run.pick(12, 6), "p99_s": run.pick(16, 8)})


def running_again(run: Run, server: RedisServer) -> Report:
    """A worker is killed with all its threads inside long tasks: all run again elsewhere, none is held for a killer."""
    tasks = run.pick(100, 1_000)
    with Fleet(server, concurrency=tasks, delivery=run.delivery, prefetch=1, slow=("w0",), slow_s=120) as fleet:
        first = fleet.start()[0]
        ids = [str(number) for number in range(tasks)]
        fleet.publish(ids, arguments=(run.pick(3.0, 5.0),))
        eventually(lambda: len(fleet.ledger.of("s")) == tasks, what="all running")
        second = fleet.start()[0]
        killed_s = now_s()
        fleet.kill(first)
        again = eventually(
            lambda: (found := [s for s in fleet.ledger.of("s") if s.worker == second.name]) and len(found) == tasks and found,
            60, what="all running again",
        )  # fmt: skip
        fleet.until_finished(tasks, 60)
        verdict = fleet.ledger.verdict(ended=fleet.faulted, dead=fleet.dead())
    all_again_s = max(start.at_s for start in again) - killed_s
    return Report(verdict=verdict, figures={"all_again_s": all_again_s}, bounds={"all_again_s": run.pick(24, 12)})


def killed_children(run: Run, server: RedisServer) -> Report:
    """Pool children are killed inside a task: the same worker runs it again within a second."""
    tasks = run.pick(3, 20)
    delays = []
    with Fleet(server, pool="prefork", concurrency=2, delivery=run.delivery) as fleet:
        fleet.start()
        for number in range(tasks):
            fleet.publish([f"child{number}"], task="chaos.child")
            fleet.until_finished(number + 1, 30)
            first, second = fleet.ledger.starts[f"child{number}"]
            delays.append(second.at_s - first.at_s)
        # The worker lives on, but each first start was under a child's death.
        verdict = fleet.ledger.verdict(ended=[worker.name for worker in fleet.workers], dead=fleet.dead())
    return Report(verdict=verdict, figures={"again_max_s": max(delays)}, bounds={"again_max_s": run.pick(4, 1)})


def poison(run: Run, server: RedisServer) -> Report:
    """A message kills its whole worker, 300 neighbours prefetched beside it."""
    neighbours = [f"n{number}" for number in range(300)]
    with Fleet(server, pool="prefork", concurrency=4, delivery=run.delivery, prefetch=100, hoard=300) as fleet:
        fleet.publish(neighbours[:150], arguments=(0.01,))
        fleet.publish(["killer"], task="chaos.poison")
        fleet.publish(neighbours[150:], arguments=(0.01,))
        fleet.start()

        def settled() -> bool:
            for worker in [worker for worker in fleet.workers if worker.process.poll() is not None]:
                fleet.kill(worker)
                fleet.start(wait=False)
            return fleet.ledger.finished() == len(neighbours) and bool(fleet.dead())

        eventually(settled, 120, 0.1, what="the neighbours finish and the killer is a dead letter")
        starts = len(fleet.ledger.starts["killer"])
        verdict = fleet.ledger.verdict(ended=fleet.faulted, dead=fleet.dead(), killers=["killer"])
    return Report(
        verdict=verdict, figures={"starts": starts, "too_few": 3 - starts}, bounds={"starts": 3, "too_few": 0}
    )


def terminated(run: Run, server: RedisServer) -> Report:
    """Workers are asked to stop under load: what runs ends there, what was not started goes back at once."""
    stops = run.pick(4, 100)
    longest_s = 0.0
    feeding = threading.Event()
    with Fleet(server, concurrency=4, delivery=run.delivery, hoard=20) as fleet:
        store = fleet.store()
        fleet.start(2)

        def feed() -> None:
            number = 0
            while not feeding.wait(0.005):
                if fleet.backlog() < 200:
                    fleet.publish([f"{number + one}" for one in range(20)], arguments=(0.02,))
                    number += 20

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            for _ in range(stops):
                run.pause(0.5)
                victim = run.rng.choice(fleet.workers)
                asked_s = now_s()
                victim.process.send_signal(signal.SIGTERM)
                eventually(lambda victim=victim: unstarted(store, victim) == 0, what="handed back")
                longest_s = max(longest_s, now_s() - asked_s)
                fleet.terminate(victim)
                fleet.start()
        finally:
            feeding.set()
            feeder.join()
        fleet.until_finished(len(fleet.ledger.published), 60)
        verdict = fleet.ledger.verdict(dead=fleet.dead())
    return Report(
        verdict=verdict, figures={"handed_back_max_s": longest_s}, bounds={"handed_back_max_s": run.pick(6, 2)}
    )


def unstarted(store: object, worker: Worker) -> int:
    """Return how many messages a worker holds that it has not started."""
    records = store.consumers(QUEUE)  # type: ignore[attr-defined]
    mine = [record for record in records if record.info and record.info.pid == worker.process.pid]
    return sum(record.in_flight - record.started for record in mine)
