"""The broker, the network or the clock fails; the workers live."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from kombu.exceptions import OperationalError

from hive.errors import HiveError
from hive.testing.proxy import FaultProxy
from tests.chaos.fleet import Fleet
from tests.chaos.run import Report, Run, now_s, wait_s
from tests.chaos.workload import QUEUE
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

#: Seconds within which consuming goes on after the broker is back, and on a machine that is busy with other things.
RESUME_S, BUSY_RESUME_S = 5.0, 20.0


def deaths(fleet: Fleet) -> int:
    """Return how many deaths were counted on the broker."""
    return fleet.store().stats(QUEUE).counters.get("deaths", 0)


def make_durable(server: RedisServer) -> None:
    """Let the broker keep every write it has answered.

    With `everysec` a killed broker may forget its last writes, so that work it had seen finished runs again (12 of
    12,000 tasks over 50 kills, none lost): that is the window the setting names, not a fault of delivery.
    """
    server.arguments += ["--appendfsync", "always"]
    server.restart()


def broker_away(run: Run, server: RedisServer) -> Report:
    """The broker is gone for several leases while tasks run and messages wait in the workers."""
    away_s, tasks = run.pick(6.0, 30.0), run.pick(60, 400)
    make_durable(server)
    with Fleet(server, delivery=run.delivery) as fleet:
        fleet.start(2)
        fleet.publish([str(number) for number in range(tasks)], arguments=(run.pick(0.2, 0.5),))
        eventually(lambda: len(fleet.ledger.of("s")) >= tasks // 10, what="under way")
        server.stop(kill=True)
        wait_s(away_s)
        server.start()
        back_s = now_s()
        eventually(lambda: any(start.at_s > back_s for start in fleet.ledger.of("s")), what="consuming goes on")
        resumed_s = next(start.at_s for start in fleet.ledger.of("s") if start.at_s > back_s) - back_s
        fleet.until_finished(tasks, 120)
        figures = {"deaths": deaths(fleet), "resumed_s": resumed_s}
        verdict = fleet.ledger.verdict(dead=fleet.dead())
    return Report(
        verdict=verdict, figures=figures, bounds={"deaths": 0, "resumed_s": run.pick(BUSY_RESUME_S, RESUME_S)}
    )


def clock_steps(run: Run, server: RedisServer) -> Report:
    """The broker's clock jumps an hour forward and back while tasks run."""
    tasks = run.pick(80, 400)
    with Fleet(server, delivery=run.delivery, clock=True) as fleet:
        fleet.start(2)
        fleet.publish([str(number) for number in range(tasks)], arguments=(0.25,))
        for part, offset_s in enumerate((3_600, -3_600, 0), 1):
            fleet.until_finished(tasks * part // 5, 60)
            (fleet.directory / "clock.new").write_text(str(offset_s))
            (fleet.directory / "clock.new").replace(fleet.directory / "clock")
        fleet.until_finished(tasks, 120)
        figures = {"deaths": deaths(fleet)}
        verdict = fleet.ledger.verdict(dead=fleet.dead())
    return Report(verdict=verdict, figures=figures, bounds={"deaths": 0})


def cut_connections(run: Run, server: RedisServer) -> Report:
    """Connections are reset, held and cut before the reply, each for less than a lease."""
    cuts = run.pick(6, 50)
    with FaultProxy("127.0.0.1", server.port) as proxy, Fleet(server, delivery=run.delivery, url=proxy.url) as fleet:
        faults: tuple[Callable[[], object], ...] = (
            proxy.reset, proxy.black_hole, proxy.refuse, lambda: proxy.cut_reply("EVALSHA"),
        )  # fmt: skip
        fleet.start(2)
        with under_load(fleet):
            longest_s = 0.0
            for number in range(cuts):
                run.pause(0.5)
                faults[number % len(faults)]()
                wait_s(run.rng.uniform(0, run.lease_s / 4))
                proxy.heal()
                longest_s = max(longest_s, resumed(fleet))
        fleet.until_finished(len(fleet.ledger.published), 60)
        figures = {"deaths": deaths(fleet), "resumed_max_s": longest_s, "cuts": cuts}
        verdict = fleet.ledger.verdict(dead=fleet.dead())
    return Report(
        verdict=verdict, figures=figures, bounds={"deaths": 0, "resumed_max_s": run.pick(BUSY_RESUME_S, RESUME_S)}
    )


def broker_restarts(run: Run, server: RedisServer) -> Report:
    """The broker is killed and started again, with its append-only file, again and again under load."""
    restarts = run.pick(3, 50)
    make_durable(server)
    with Fleet(server, delivery=run.delivery) as fleet:
        # Before anybody works, and more than the restarts take on a busy machine: else nothing is left to go on with.
        fleet.publish([str(number) for number in range(run.pick(1_200, 12_000))], arguments=(0.1,))
        fleet.start(2)
        longest_s = 0.0
        for _ in range(restarts):
            run.pause(0.5)
            server.stop(kill=True)
            run.pause(1.0)
            server.start()
            longest_s = max(longest_s, resumed(fleet))
        fleet.until_finished(len(fleet.ledger.published), 600)
        figures = {"deaths": deaths(fleet), "resumed_max_s": longest_s, "restarts": restarts}
        verdict = fleet.ledger.verdict(dead=fleet.dead())
    return Report(
        verdict=verdict, figures=figures, bounds={"deaths": 0, "resumed_max_s": run.pick(BUSY_RESUME_S, RESUME_S)}
    )


def full_broker(run: Run, server: RedisServer) -> Report:
    """The broker is at its memory limit: publishing is refused in a sentence, what was accepted is worked off."""
    with Fleet(server, delivery=run.delivery) as fleet, contextlib.closing(server.client()) as client:
        client.config_set("maxmemory", str(int(client.info("memory")["used_memory"]) + run.pick(2, 20) * 2**20))
        filler = "x" * 10_000
        refused = ""
        for number in range(run.pick(2_000, 20_000)):
            try:
                fleet.app.tasks["chaos.work"].apply_async(
                    (str(number), 0.0), headers={"filler": filler}, ignore_result=True
                )
            except (HiveError, OperationalError) as error:
                refused = str(error)
                break
            fleet.ledger.published.add(str(number))
        assert refused, "the broker was never full"
        client.config_set("maxmemory", str(int(client.info("memory")["used_memory"]) - 10_000))
        fleet.start(2)
        fleet.until_finished(len(fleet.ledger.published), 120)
        verdict = fleet.ledger.verdict(dead=fleet.dead())
        figures = {"accepted": len(fleet.ledger.published), "deaths": deaths(fleet)}
    return Report(verdict=verdict, figures=figures, bounds={"deaths": 0})


@contextlib.contextmanager
def under_load(fleet: Fleet) -> Iterator[None]:
    """Keep the queue filled from a thread; the workers may meet faults, this publisher does not."""
    ended = threading.Event()

    def feed() -> None:
        number = 0
        while not ended.wait(0.01):
            if fleet.backlog() < 100:
                fleet.publish([str(number + one) for one in range(20)], arguments=(0.02,))
                number += 20

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield
    finally:
        ended.set()
        feeder.join()


def resumed(fleet: Fleet) -> float:
    """Return the seconds from now to the next start of a task."""
    from_s = now_s()
    eventually(
        lambda: fleet.ledger.of("s") and fleet.ledger.of("s")[-1].at_s > from_s,
        what="consuming goes on after a fault",
    )
    return next(start.at_s for start in fleet.ledger.of("s") if start.at_s > from_s) - from_s
