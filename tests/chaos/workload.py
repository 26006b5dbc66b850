"""The application under chaos. Its effects go to a file outside the broker, starts and finishes each in a line.

A worker runs it as ``celery -A tests.chaos.workload worker``, told by ``CHAOS`` (JSON) where everything is; a test builds
the same application with :func:`build` to publish. With ``die_at`` the process kills itself and all it belongs to
right before or after a named step on the broker; with ``clock`` every script is handed a time with an offset that the
test keeps in a file.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from celery import bootsteps, chain, chord
from celery.signals import worker_ready
from kombu import Exchange, Queue

from hive import Hive
from hive.settings.model import Settings
from hive.settings.parts import BrokerSettings, DeliverySettings
from hive.store.caller import Caller
from hive.store.lane import LANE
from hive.store.pipelining import Pipeline
from tests.chaos import kinds

QUEUE = "chaos"

#: Name of the first start of a worker.
FIRST = "w0"


@dataclass(frozen=True, kw_only=True)
class Chaos:
    """What a process of the run is told.

    Attributes:
        broker: its address.
        directory: of effects, logs and flags.
        worker: name of this start of a worker; a restarted worker has another.
        delivery: hive's delivery settings.
        parts: further settings of hive, by part.
        expires_s: seconds after which the queue ends that nobody uses; 0: never.
        prefetch: messages held per slot at most.
        hoard: messages held besides what runs, however long that takes: as of a worker whose tasks were short until now.
        die_at: ``before NAME``, ``after NAME`` of a script: the first process that gets there kills its worker.
        clock: whether scripts are handed the time of the file ``clock`` (seconds of offset).
        slow: names of workers on which tasks hold on for ``slow_s`` instead of their own time.
        slow_s: see ``slow``.
    """

    broker: str
    directory: str
    worker: str = "test"
    delivery: dict[str, float] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    expires_s: float = 0.0
    prefetch: int = 16
    hoard: int = 0
    die_at: str = ""
    clock: bool = False
    slow: tuple[str, ...] = ()
    slow_s: float = 0.0

    def environment(self) -> dict[str, str]:
        """Return the variables of a process that is told this."""
        return {"CHAOS": json.dumps(asdict(self))}


class Effects:
    """Lines appended to one file by any number of processes: kind, id, worker, pid, monotonic nanoseconds."""

    def __init__(self, chaos: Chaos) -> None:
        self.worker = chaos.worker
        self._file = os.open(Path(chaos.directory) / "effects", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, kind: str, id_: object) -> None:
        """Append one line in one write."""
        os.write(self._file, f"{kind} {id_} {self.worker} {os.getpid()} {time.monotonic_ns()}\n".encode())


def kill_worker() -> None:
    """End the whole worker at once, as an out-of-memory killer does."""
    os.killpg(os.getpgid(0), signal.SIGKILL)
    signal.pause()


def build(chaos: Chaos) -> Hive:
    """Return the application with its tasks."""
    settings = Settings(
        delivery=DeliverySettings(**chaos.delivery),  # type: ignore[arg-type]
        broker=BrokerSettings(socket_timeout_s=min(5.0, chaos.delivery.get("lease_s", 6.0) * 1.5)),
        **chaos.parts,  # type: ignore[arg-type]
    )
    app = Hive("chaos", broker=chaos.broker, backend=chaos.broker, settings=settings)
    app.conf.update(
        task_default_queue=QUEUE,
        task_queues=[_queue(chaos.expires_s)] if chaos.expires_s else None,
        worker_prefetch_multiplier=chaos.prefetch,
        worker_send_task_events=False,
        task_send_sent_event=False,
        task_track_started=False,
    )
    if chaos.hoard:
        app.steps["consumer"].add(_hoarding(chaos.hoard))
    effects = Effects(chaos)
    _define(app, chaos, effects)
    kinds.define(app, effects, knows_late=chaos.worker != FIRST)
    return app


def _hoarding(count: int) -> type[bootsteps.StartStopStep]:
    class Hoards(bootsteps.StartStopStep):
        requires = ("hive.runtime.worker.consuming:Delivery",)

        def start(self, consumer: Any) -> None:
            consumer.gate.pace.held = lambda _: count

    return Hoards


def _queue(expires_s: float) -> Queue:
    return Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE, expires=expires_s)


def _define(app: Hive, chaos: Chaos, effects: Effects) -> None:
    def held(seconds: float) -> None:
        time.sleep(chaos.slow_s if chaos.worker in chaos.slow else seconds)  # noqa: TID251 - what a task does

    @app.task(name="chaos.work", shared=False)
    def work(id_: str, seconds: float = 0.0) -> str:
        effects.note("s", id_)
        held(seconds)
        effects.note("f", id_)
        return chaos.worker

    @app.task(name="chaos.again", shared=False, bind=True, max_retries=3)
    def again(self: Any, id_: str) -> str:
        if self.request.retries == 0:
            effects.note("r", id_)
            raise self.retry(countdown=0.1)
        effects.note("s", id_)
        effects.note("f", id_)
        return chaos.worker

    @app.task(name="chaos.body", shared=False)
    def body(parts: list[str], id_: str) -> int:
        effects.note("s", id_)
        effects.note("f", id_)
        return len(parts)

    @app.task(name="chaos.poison", shared=False)
    def poison(id_: str) -> None:
        effects.note("s", id_)
        kill_worker()

    count = os.open(Path(chaos.directory) / "count", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @app.task(name="chaos.count", shared=False)
    def counted() -> None:
        os.write(count, b".")

    @app.task(name="chaos.child", shared=False)
    def child(id_: str) -> None:
        # The first start ends its pool child only.
        effects.note("s", id_)
        flag = Path(chaos.directory) / f"child-{id_}"
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        effects.note("f", id_)


def inject(chaos: Chaos) -> None:
    """Put the faults into this process: for a worker or a publisher of its own, never for the test itself."""
    call = Caller.call

    def at(point: str) -> None:
        # Some scripts carry another: ``NAME:CARRIED``.
        if point.partition(":")[0] == chaos.die_at:
            with suppress(FileExistsError):
                with (Path(chaos.directory) / "died").open("x") as died:
                    died.write(chaos.worker)
                kill_worker()

    def traced(self: Caller, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        at(f"before {name}")
        reply = call(self, name, keys, *arguments)
        at(f"after {name}")
        return reply

    def told(_: Pipeline, wanted: Iterable[Any], when: str) -> None:
        for want in wanted:
            at(f"{when} {want.name}")

    def shifted(self: Caller) -> str:
        offset_s = float((Path(chaos.directory) / "clock").read_text() or 0)
        return str(time.time_ns() // 1_000_000 + round(offset_s * 1000))

    if chaos.die_at:
        Caller.call = traced  # type: ignore[method-assign]
        Pipeline.tell = told  # type: ignore[method-assign]
    if chaos.clock:
        Caller.now_argument = shifted  # type: ignore[method-assign]


def publish_every_kind(app: Hive, effects: Effects, count: int) -> None:
    """Publish a bit of everything, noting what is about to be accepted (``i`` lines) and what was (``p`` lines)."""
    work, again, body = (app.tasks[f"chaos.{name}"] for name in ("work", "again", "body"))
    accepted = partial(_accepted, effects)
    for number in range(count):
        plain, eta, retry, chained, chorded = (
            f"{name}{number}" for name in ("plain", "eta", "retry", "chain", "chord")
        )
        accepted([plain], lambda plain=plain: work.delay(plain, 0.01))  # type: ignore[misc]
        accepted([eta], lambda eta=eta: work.apply_async((eta, 0.0), countdown=0.3))  # type: ignore[misc]
        accepted([retry], lambda retry=retry: again.delay(retry))  # type: ignore[misc]
        steps = [f"{chained}{step}" for step in "abc"]
        accepted(steps, chain(work.si(step) for step in steps).delay)
        parts = [f"{chorded}part{part}" for part in range(3)]
        accepted([*parts, chorded], partial(chord(work.si(part) for part in parts), body.s(chorded)))


def publish_kind(app: Hive, effects: Effects, kind: str, count: int, lane: str) -> None:
    """Publish tasks of one kind, noted as in :func:`publish_every_kind`; without a kind into a worker's lane."""
    task = app.tasks[f"chaos.{kind or 'work'}"]
    options = {"queue": QUEUE, LANE: lane} if lane else {}
    for number in range(count):
        id_ = f"{kind}-published{number}"
        _accepted(effects, [id_], lambda id_=id_: task.apply_async((id_,), **options))  # type: ignore[misc]


def _accepted(effects: Effects, ids: Sequence[str], publish: Callable[[], object]) -> None:
    for id_ in ids:
        effects.note("i", id_)
    publish()
    for id_ in ids:
        effects.note("p", id_)


@worker_ready.connect
def _ready(**_: object) -> None:
    if "CHAOS" in os.environ:
        Effects(TOLD).note("up", "-")


if "CHAOS" in os.environ:
    TOLD = Chaos(**json.loads(os.environ["CHAOS"]))
    inject(TOLD)
    app = build(TOLD)

if __name__ == "__main__":
    if len(sys.argv) > 2:
        publish_kind(app, Effects(TOLD), sys.argv[2], int(sys.argv[1]), sys.argv[3])
    else:
        publish_every_kind(app, Effects(TOLD), int(sys.argv[1]))
