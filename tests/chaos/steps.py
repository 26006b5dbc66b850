"""A process dies right before or right after each single step on the broker."""

import contextlib
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import resources

from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Verdict
from tests.chaos.run import QUICK, Report, Run
from tests.chaos.workload import QUEUE, Effects, publish_every_kind
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

#: Steps that no worker and no publisher takes: an operator's, or reads.
OPERATORS = {
    "release_queue", "release_consumer", "delete_queue", "purge", "cancel_scheduled", "touch", "adopt", "pop", "bind",
    "dead_edit", "dead_import", "dead_read", "dead_remove", "dead_arrivals", "dead_told", "redrive",
}  # fmt: skip

#: Steps in which a death is met in the short profile; the long one meets them all.
SHORT = ("after claim", "before finish_with_result", "after retry", "before reap")


def points() -> list[str]:
    """Return every point: before and after each script of the store but the operators' own."""
    lua = resources.files("hive.store") / "lua"
    names = sorted(file.name.removesuffix(".lua") for file in lua.iterdir() if file.name.endswith(".lua"))
    return [f"{when} {name}" for name in names if name not in OPERATORS for when in ("before", "after")]


def every_step(run: Run, server: RedisServer) -> Report:
    """Meet a death at every point; nothing accepted is lost."""
    total = Verdict(lost=0, duplicated=0, recovered=0, unexpected=0)
    missed = []
    chosen = points() if run.is_long else SHORT
    for point in chosen:
        with contextlib.closing(server.client()) as client:
            client.flushall()
        verdict = one_step(point, server)
        if verdict is None:
            missed.append(point)
            continue
        print(json.dumps({"point": point, **verdict.as_dict()}))
        total = Verdict(**{word: count + getattr(verdict, word) for word, count in total.as_dict().items()})
    print(json.dumps({"points": len(chosen), "never_reached": missed}))
    return Report(verdict=total, figures={"never_reached": len(missed)}, bounds={"never_reached": 0})


def one_step(point: str, server: RedisServer) -> Verdict | None:
    """Let a process die at one point and others take over; ``None`` if it was never reached."""
    step = point.split()[1]
    pool = "prefork" if step == "reject" else "threads"
    with Fleet(server, pool=pool, concurrency=2, delivery=QUICK) as fleet:
        reach = STIMULI.get(step, _everything)
        reach(fleet, point)
        if not (fleet.directory / "died").exists():
            return None
        if fleet.workers:
            victim = eventually(lambda: next((w for w in fleet.workers if w.process.poll() is not None), None), 10)
            fleet.kill(victim)
        fleet.start()
        eventually(lambda: not fleet.ledger.missing(), 30, what="everything accepted has finished")
        return fleet.ledger.verdict(ended=fleet.faulted | {"publisher"}, dead=[])


def _die(fleet: Fleet, timeout_s: float = 15) -> None:
    with contextlib.suppress(AssertionError):
        eventually((fleet.directory / "died").exists, timeout_s, what="the death")


def _everything(fleet: Fleet, point: str) -> None:
    """A worker dies while it works on a bit of everything."""
    publish_every_kind(fleet.app, Effects(fleet.chaos), 2)
    fleet.start(wait=False, die_at=point)
    _die(fleet)


def _publishing(fleet: Fleet, point: str) -> None:
    """The publisher dies; what it had been told is accepted must be there."""
    fleet.publisher(2, die_at=point)


def _stock_eta(fleet: Fleet, point: str) -> None:
    """A stock producer leaves a message with an eta on the plain list; the worker that claims it dies."""
    publish = f"from celery import Celery; Celery(broker={fleet.server.url!r}).send_task('chaos.work', ('eta',), countdown=5, queue={QUEUE!r})"
    subprocess.run([sys.executable, "-c", publish], check=True)
    fleet.ledger.published.add("eta")
    _everything(fleet, point)


def _stopping(fleet: Fleet, point: str) -> None:
    """A worker dies while it stops warmly with unstarted work in hand."""
    fleet.publish([str(number) for number in range(40)], arguments=(0.1,))
    (worker,) = fleet.start(die_at=point)
    eventually(lambda: fleet.ledger.finished() > 0, 15, what="under way")
    worker.process.send_signal(signal.SIGTERM)
    _die(fleet)


def _after_a_death(fleet: Fleet, point: str) -> None:
    """A worker dies while it returns the work of another that died."""
    fleet.publish([str(number) for number in range(40)], arguments=(0.1,))
    (victim,) = fleet.start()
    eventually(lambda: fleet.ledger.finished() > 0, 15, what="under way")
    fleet.kill(victim)
    fleet.start(wait=False, die_at=point)
    _die(fleet)


def _unknown_task(fleet: Fleet, point: str) -> None:
    """A worker dies while it lets a message wait whose task nobody knows."""
    fleet.app.send_task("chaos.nobody", queue=QUEUE)
    _everything(fleet, point)


def _child(fleet: Fleet, point: str) -> None:
    """A worker dies while it counts the death of a pool child."""
    fleet.publish(["killed-child"], task="chaos.child")
    _everything(fleet, point)


def _garbage(fleet: Fleet, point: str) -> None:
    """A worker dies while it sets bytes aside that are no message."""
    with contextlib.closing(fleet.server.client()) as client:
        client.lpush(QUEUE, b"\x00 no message")
    _everything(fleet, point)


def _unknown(fleet: Fleet, point: str) -> None:
    """A worker dies while it compares what it holds with the broker, which has more: the reply of a claim was lost."""
    fleet.start(die_at=point)
    store = fleet.store()
    (record,) = eventually(lambda: store.consumers(QUEUE), 15, what="the worker is registered")
    attempts = itertools.count(1)

    def taken() -> bool:
        number = next(attempts)
        fleet.publish([f"unknown{number}"])
        return bool(store.claim(record.consumer, [QUEUE], sequence=1_000_000 + number, credit=1).deliveries)

    eventually(taken, 15, what="a claim that the worker knows nothing of")
    _die(fleet)


STIMULI: dict[str, Callable[[Fleet, str], None]] = {
    "publish": _publishing,
    "schedule": _publishing,
    "reconcile": _unknown,
    "reschedule": _stock_eta,
    "requeue": _stopping,
    "unregister": _stopping,
    "postpone": _unknown_task,
    "reap": _after_a_death,
    "reject": _child,
    "dead_letter": _garbage,
}
