"""What makes a process take each step on the broker, so that it can be killed there.

Every script of ``hive/store/lua`` stands in :data:`STIMULI` under its name, and once more with words behind it where a further
way leads to it. A stimulus prepares the state, and lets one process
reach the point: a worker, a publisher, or an operator.
"""

import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from celery import chord

from hive.resilience.breaker import BreakerState
from tests.chaos.fleet import Fleet
from tests.chaos.kinds import SHUT
from tests.chaos.operators import GIVEN_UP, REVOKED, SIGNALLED, SOMEBODY
from tests.chaos.workload import FIRST, QUEUE, Effects, publish_every_kind
from tests.support.eventually import eventually

#: Lets a process reach a point and die there.
Stimulus = Callable[[Fleet, str], None]

#: Where the first worker's lane is.
LANE = f"{FIRST}@{socket.gethostname()}"


def die(fleet: Fleet, timeout_s: float = 40) -> None:
    """Wait until the process has died; that it did not is for the caller to see."""
    with contextlib.suppress(AssertionError):
        eventually((fleet.directory / "died").exists, timeout_s, what="the death")


def everything(fleet: Fleet, point: str) -> None:
    """A worker dies while it works on a bit of everything."""
    publish_every_kind(fleet.app, Effects(fleet.chaos), 2)
    fleet.start(wait=False, die_at=point)
    die(fleet)


def kind(name: str, count: int, seconds: float, fleet: Fleet, point: str) -> None:
    """A worker dies while it works on tasks that declare something."""
    fleet.publish([f"{name}{number}" for number in range(count)], task=f"chaos.{name}", arguments=(seconds,))
    fleet.start(wait=False, die_at=point)
    die(fleet)


def shut(fleet: Fleet, point: str) -> None:
    """A worker dies while it gives what tasks declare for a breaker that is open."""
    fleet.store().breaker_force(SHUT, BreakerState.OPEN)
    fleet.publish(["shut0", "shut1"], task="chaos.shut")
    fleet.start(wait=False, die_at=point)
    die(fleet)


def chords(fleet: Fleet, point: str) -> None:
    """A worker dies while the last part of a chord publishes the body."""
    work, body = fleet.app.tasks["chaos.work"], fleet.app.tasks["chaos.body"]
    for number in range(2):
        ids = [f"part{number}-{part}" for part in range(3)]
        chord((work.si(id_) for id_ in ids), body.s(f"body{number}")).delay()
        fleet.ledger.published |= {*ids, f"body{number}"}
    fleet.start(wait=False, die_at=point)
    die(fleet)


def publishing(fleet: Fleet, point: str) -> None:
    """The publisher dies; what it had been told is accepted must be there."""
    fleet.publisher(2, die_at=point)


def publishing_to_what_expires(fleet: Fleet, point: str) -> None:
    """The publisher dies; to it the queue is one that ends when nobody uses it."""
    fleet.publisher(2, die_at=point, expires_s=60.0)


def publishing_kind(name: str, fleet: Fleet, point: str) -> None:
    """The publisher of tasks of one kind dies."""
    fleet.publisher(3, name, "", die_at=point)


def publishing_in_lane(fleet: Fleet, point: str) -> None:
    """The publisher into a worker's lane dies; the worker lives."""
    fleet.start()
    until_lane(fleet)
    fleet.publisher(3, "", LANE, die_at=point)


def in_lane(seconds: float, stop: bool, fleet: Fleet, point: str) -> None:
    """A worker dies whose lane is long: while it works on it, or while it stops and empties it."""
    fleet.start(die_at=point)
    until_lane(fleet)
    fleet.publish([str(number) for number in range(100)], arguments=(seconds,), queue=QUEUE, hive_lane=LANE)
    if stop:
        fleet.workers[0].process.send_signal(signal.SIGTERM)
    die(fleet)


def lane_of_the_dead(fleet: Fleet, point: str) -> None:
    """A worker dies while it empties the lane of another that died."""
    (victim,) = fleet.start()
    until_lane(fleet)
    fleet.publish([str(number) for number in range(100)], arguments=(0.05,), queue=QUEUE, hive_lane=LANE)
    fleet.kill(victim)
    fleet.start(wait=False, die_at=point)
    die(fleet)


def until_lane(fleet: Fleet) -> None:
    """Wait until the lane of the first worker is open."""
    store = fleet.store()
    eventually(lambda: [lane for lane in store.lanes(QUEUE) if lane.worker == LANE], what="the lane is open")


def stock_eta(fleet: Fleet, point: str) -> None:
    """A stock producer leaves a message with an eta on the plain list; the worker that claims it dies."""
    publish = f"from celery import Celery; Celery(broker={fleet.server.url!r}).send_task('chaos.work', ('eta',), countdown=5, queue={QUEUE!r})"
    subprocess.run([sys.executable, "-c", publish], check=True)
    fleet.ledger.published.add("eta")
    everything(fleet, point)


def stopping(fleet: Fleet, point: str) -> None:
    """A worker dies while it stops warmly with unstarted work in hand."""
    fleet.publish([str(number) for number in range(40)], arguments=(0.1,))
    (worker,) = fleet.start(die_at=point)
    eventually(lambda: fleet.ledger.finished() > 0, what="under way")
    worker.process.send_signal(signal.SIGTERM)
    die(fleet)


def after_a_death(fleet: Fleet, point: str) -> None:
    """A worker dies while it returns the work of another that died."""
    fleet.publish([str(number) for number in range(40)], arguments=(0.1,))
    (victim,) = fleet.start()
    eventually(lambda: fleet.ledger.finished() > 0, what="under way")
    fleet.kill(victim)
    fleet.start(wait=False, die_at=point)
    die(fleet)


def late_task(fleet: Fleet, point: str) -> None:
    """A worker dies while it lets a message wait whose task only a newer release knows."""
    fleet.publish(["late"], task="chaos.late")
    everything(fleet, point)


def child(fleet: Fleet, point: str) -> None:
    """A worker dies while it counts the death of a pool child."""
    fleet.publish(["killed-child"], task="chaos.child")
    everything(fleet, point)


def hopeless(fleet: Fleet, point: str) -> None:
    """A worker dies while it fails tasks for good whose results are kept."""
    for id_ in ("hopeless0", "hopeless1"):
        fleet.app.tasks["chaos.hopeless"].delay(id_)
        fleet.ledger.published.add(id_)
    fleet.start(wait=False, die_at=point)
    die(fleet)


def garbage(fleet: Fleet, point: str) -> None:
    """A worker dies while it sets bytes aside that are no message, or tells of them."""
    with contextlib.closing(fleet.server.client()) as client:
        client.lpush(QUEUE, b"\x00 no message")
    everything(fleet, point)


def unknown(fleet: Fleet, point: str) -> None:
    """A worker dies while it compares what it holds with the broker, which has more: the reply of a claim was lost."""
    fleet.start(die_at=point)
    store = fleet.store()
    (record,) = eventually(lambda: store.consumers(QUEUE), what="the worker is registered")
    attempts = itertools.count(1)

    def taken() -> bool:
        number = next(attempts)
        fleet.publish([f"unknown{number}"])
        return bool(store.claim(record.consumer, [QUEUE], sequence=1_000_000 + number, credit=1).deliveries)

    eventually(taken, what="a claim that the worker knows nothing of")
    die(fleet)


def operated(action: str, prepare: Callable[[Fleet], None], fleet: Fleet, point: str, *, then: str = "") -> None:
    """An operator's process dies and is started again, as operators do; ``then`` is done after both."""
    prepare(fleet)
    fleet.operator(action, die_at=point)
    fleet.operator(action)
    if then:
        fleet.operator(then)


def alive(fleet: Fleet) -> None:
    """A worker is there."""
    fleet.start()


def letters(fleet: Fleet) -> None:
    """Dead letters are there, of tasks that can be done."""
    store = held(fleet)
    (record,) = store.consumers(QUEUE)
    for delivery in store.claim(record.consumer, [QUEUE], sequence=1, credit=10).deliveries:
        store.dead_letter(record.consumer, delivery.id, reason="test", cause="a test")
    store.unregister(record.consumer, [QUEUE])


def held(fleet: Fleet):  # type: ignore[no-untyped-def]
    """A consumer that will never be heard of again holds messages; returns a store."""
    fleet.publish([f"held{number}" for number in range(6)])
    store = fleet.store()
    store.register("somebody", [QUEUE], SOMEBODY)
    assert store.claim("somebody", [QUEUE], sequence=1, credit=10).deliveries
    return store


def left_by_the_dead(fleet: Fleet) -> None:
    """The lease of a consumer has ended, and no worker is there to reap it."""
    store = held(fleet)
    ended = lambda: store.consumers(QUEUE)[0].lease_end_ms < store.server_time_ms()  # noqa: E731
    eventually(ended, what="the lease has ended")


def left_by_stock(fleet: Fleet) -> None:
    """Messages are in the records of a stock worker that was killed."""
    ids = [f"stock{number}" for number in range(4)]
    fleet.publish(ids)
    with contextlib.closing(fleet.server.client()) as client:
        for number in range(len(ids)):
            message = json.loads(client.rpop(QUEUE))  # type: ignore[arg-type]
            client.hset("unacked", f"tag{number}", json.dumps([message, "", QUEUE]))
            client.zadd("unacked_index", {f"tag{number}": 1.0})


def given_up(fleet: Fleet) -> None:
    """Messages wait in a queue that nobody wants any more."""
    work = fleet.app.tasks["chaos.work"]
    for countdown_s in (None, 60):
        work.apply_async(("given up",), queue=GIVEN_UP, countdown=countdown_s)


def revoked(fleet: Fleet) -> None:
    """Tasks that hold keys wait for their time."""
    unique = fleet.app.tasks["chaos.unique"]
    ids = [unique.apply_async((f"revoked{number}",), countdown=4).id for number in range(3)]
    (fleet.directory / REVOKED).write_text("\n".join(ids))


def published(fleet: Fleet) -> None:
    """Messages wait, and no worker is there."""
    fleet.publish([str(number) for number in range(4)])


def parked(fleet: Fleet) -> None:
    """A task waits for a signal."""
    fleet.start()
    fleet.publish([SIGNALLED], task="chaos.signalled", task_id=SIGNALLED)
    store = fleet.store()
    eventually(lambda: store.parked_run(SIGNALLED), what="it is parked")


EVERYTHING = (
    "bind", "check", "claim", "finish", "finish_with_result", "follow", "read_lanes", "register", "renew", "report_load",
    "report_use", "retry", "start", "tick",
)  # fmt: skip

STIMULI: dict[str, Stimulus] = {
    **dict.fromkeys(EVERYTHING, everything),
    **dict.fromkeys(("publish", "schedule"), publishing),
    **dict.fromkeys(("requeue", "unregister"), stopping),
    **dict.fromkeys(("dead_letter", "dead_arrivals", "dead_told"), garbage),
    **dict.fromkeys(("limit_reserve", "limit_settle", "limit_release"), partial(kind, "limited", 6, 0.1)),
    **dict.fromkeys(("breaker_report", "breaker_probe", "breaker_settle"), partial(kind, "flaky", 6, 0.1)),
    **dict.fromkeys(("retry_park", "retry_release", "retry_advance"), partial(kind, "parked", 6, 0.1)),
    **dict.fromkeys(("breaker_force", "breaker_read"), partial(operated, "breakers", alive)),
    **dict.fromkeys(
        ("dead_import", "dead_read", "dead_remove"), partial(operated, "transfer", letters, then="redrive")
    ),
    **dict.fromkeys(("purge", "delete_queue"), partial(operated, "give_up", given_up)),
    **dict.fromkeys(("cancel_scheduled", "free_key"), partial(operated, "revoke", revoked)),
    **dict.fromkeys(("step_begin", "step_end", "park", "end_run"), partial(kind, "durable", 4, 0.0)),
    **dict.fromkeys(
        ("agent_enter", "agent_leave", "agent_move", "agent_park", "agent_policy", "agent_release", "signal_agent"),
        partial(operated, "tend", published),
    ),
    **dict.fromkeys(
        ("lead", "lead_note", "lead_read", "lead_resign", "read_demand", "record_scaling"),
        partial(operated, "lead", published),
    ),
    **dict.fromkeys(
        ("beat_fire", "beat_pause", "beat_put", "beat_remove", "beat_skip"), partial(operated, "beat", published)
    ),
    "adopt": partial(operated, "adopt", left_by_stock),
    "answer": shut,
    "book": partial(kind, "needy", 4, 0.1),
    "dead_edit": partial(operated, "edit", letters, then="redrive"),
    "dead_letter_with_result": hopeless,
    "drain_lane": partial(in_lane, 0.05, True),
    "drain_lane of the dead": lane_of_the_dead,
    "follow of a chord": chords,
    "keep_answer": partial(kind, "answered", 4, 0.0),
    "keep_checkpoint": partial(operated, "keep", published),
    "limit_renew": partial(kind, "limited", 2, 2.5),
    "pop": partial(operated, "ping", alive),
    "postpone": late_task,
    "publish_fair": partial(publishing_kind, "fair"),
    "publish_guarded": partial(publishing_kind, "unique"),
    "publish_lane": publishing_in_lane,
    "reap": after_a_death,
    "reconcile": unknown,
    "redrive": partial(operated, "redrive", letters),
    "reject": child,
    "release_consumer": partial(operated, "release", left_by_the_dead),
    "release_queue": partial(operated, "release", letters),
    "reschedule": stock_eta,
    "retry_budget": partial(kind, "budgeted", 4, 0.0),
    "retry_learn": partial(kind, "learning", 4, 0.0),
    "signal_run": partial(operated, "signal", parked),
    "touch": publishing_to_what_expires,
    "unbook": partial(kind, "needy", 4, 0.1),
    "wake_lane": partial(in_lane, 0.05, False),
}

#: Steps that only a worker takes that holds more than it can begin soon.
HOARDING = {"requeue"}

#: Steps that only a pool of processes takes.
PREFORK = {"reject", "report_use"}
