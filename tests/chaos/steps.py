"""A process dies right before or right after each single step on the broker."""

import contextlib
import json
from collections.abc import Callable
from importlib import resources

from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Verdict
from tests.chaos.remains import left, whereabouts
from tests.chaos.run import QUICK, Report, Run, now_s
from tests.chaos.stimuli import HOARDING, PREFORK, STIMULI
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

#: Steps in which a death is met in the short profile; the long one meets them all.
SHORT = ("after claim", "before finish_with_result", "after retry", "before reap", "before follow of a chord")

#: Lanes that are looked after as fast as these leases, and a grace in which a message is looked at again as soon.
PARTS = {"routing": {"report_every_s": 0.3, "fresh_s": 1.0}, "dead": {"unknown_task_grace_s": 30.0}}

#: Seconds after a death within which everything has finished, and then within which nothing is held any more: the longest
#: lease of what is shared is that of places and bookings, 6 s.
FINISHED_S, SETTLED_S = 60.0, 40.0


class UnsettledError(AssertionError):
    """A death left something behind."""


def scripts() -> list[str]:
    """Return the names of all scripts of the store."""
    lua = resources.files("hive.store") / "lua"
    return sorted(file.name.removesuffix(".lua") for file in lua.iterdir() if file.name.endswith(".lua"))


def points() -> list[str]:
    """Return every point: before and after each script of the store, by each way that leads to it."""
    return [f"{when} {way}" for way in sorted(STIMULI) for when in ("before", "after")]


def every_step(run: Run, server: RedisServer) -> Report:
    """Meet a death at every point; nothing accepted is lost, and nothing stays held.

    Raises:
        UnsettledError: at some points something was left behind; it says at which, and what.
    """
    total = Verdict(lost=0, duplicated=0, recovered=0, unexpected=0)
    missed, unsettled = [], []
    chosen = points() if run.is_long else SHORT
    for point in chosen:
        with contextlib.closing(server.client()) as client:
            client.flushall()
        began_s = now_s()
        try:
            verdict = one_step(point, server)
        except UnsettledError as error:
            unsettled.append(f"{point}: {error}")
            print(json.dumps({"point": point, "unsettled": str(error)}), flush=True)
            continue
        if verdict is None:
            missed.append(point)
            continue
        print(json.dumps({"point": point, **verdict.as_dict(), "took_s": round(now_s() - began_s, 1)}), flush=True)
        total = Verdict(**{word: count + getattr(verdict, word) for word, count in total.as_dict().items()})
    print(json.dumps({"points": len(chosen), "never_reached": missed}))
    if unsettled:
        raise UnsettledError("\n".join(unsettled))
    return Report(verdict=total, figures={"never_reached": len(missed)}, bounds={"never_reached": 0})


def one_step(point: str, server: RedisServer) -> Verdict | None:
    """Let a process die at one point and others take over; ``None`` if it was never reached.

    Raises:
        UnsettledError: something accepted has not finished, or something is still held.
    """
    when, step = point.split()[:2]
    pool = "prefork" if step in PREFORK else "threads"
    hoard = 8 if step in HOARDING else 0
    with Fleet(server, pool=pool, concurrency=2, delivery=QUICK, parts=PARTS, hoard=hoard) as fleet:
        STIMULI[point.partition(" ")[2]](fleet, f"{when} {step}")
        died = fleet.directory / "died"
        if not died.exists():
            return None
        name = eventually(died.read_text, what="the name of who died")
        victim = next((worker for worker in fleet.workers if worker.name == name), None)
        if victim is not None:
            victim.process.wait(60)
            fleet.kill(victim)
        fleet.start()
        until(lambda: not fleet.ledger.missing(), FINISHED_S, lambda: whereabouts(fleet, fleet.ledger.missing()))
        until(lambda: not left(fleet), SETTLED_S, lambda: left(fleet))
        return fleet.ledger.verdict(ended=fleet.faulted, dead=[])


def until(is_over: Callable[[], bool], timeout_s: float, remaining: Callable[[], list[str]]) -> None:
    """Wait until something is over.

    Raises:
        UnsettledError: it was not for ``timeout_s``; it says what remains.
    """
    try:
        eventually(is_over, timeout_s, 0.1)
    except AssertionError:
        raise UnsettledError(f"after {timeout_s:g} s there is still {'; '.join(remaining())}") from None
