"""The worker's part for resources: it keeps pool children within their bounds, and tells what they use."""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import psutil
from celery import bootsteps
from celery.worker import state

from hive.agents.builtin import declared_needs
from hive.agents.types import Resources
from hive.clock import Clock, SystemClock
from hive.pools.prefork import AsynPool, TaskPool
from hive.resources.bounds import Bound, BoundsKeeper, Exceeded, Marks
from hive.resources.families import FamilyUse
from hive.resources.host import MEGABYTE_BYTES, host_name, read_host
from hive.resources.use import Running, UseLog
from hive.settings.parts import WorkerSettings
from hive.store.faults import BrokerGoneError
from hive.store.use import Use
from hive.telemetry.events import ChildExceeded, fields_of
from hive.transport.channel import Channel
from hive.transport.native import NativeThread

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
IDLE_LOOK_EVERY_S = 10.0
REPORT_EVERY_S = 5.0

#: Of the host's memory what a single pool child may use where nobody says otherwise.
SHARE_OF_HOST = 0.75


class ChildrenWatch:
    """Looks at the pool children of a worker, five times a second while it has tasks and seldom while it has none, and reports every five seconds at most.

    ``start`` and ``stop`` may be repeated; ``stop`` returns once the thread has ended.

    Args:
        worker: its node name.
        children: returns the numbers of its pool children.
        bound_of: returns what a child may use that runs a certain request, or none.
        store: the broker, asked for at each report.
        on_exceeded: told of each child that is about to be killed, and of the request it runs.
        marks: of its pool.
        clock: for how long tasks run.
    """

    def __init__(
        self,
        worker: str,
        children: Callable[[], list[int]],
        bound_of: Callable[[Any | None], Bound],
        store: Callable[[], Use],
        on_exceeded: Callable[[Exceeded, Any | None], None],
        marks: Marks,
        clock: Clock | None = None,
    ) -> None:
        self._worker, self._children, self._bound_of = worker, children, bound_of
        self._store = store
        self._requests: dict[int, Any] = {}
        self._clock = clock or SystemClock()
        self._keeper = BoundsKeeper(lambda exceeded: on_exceeded(exceeded, self._requests.get(exceeded.pid)), marks)
        self._log = UseLog(LOOK_EVERY_S)
        self._reported_s = 0.0
        self._stopped = threading.Event()
        self._wanted = threading.Event()
        self._thread: NativeThread | None = None

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._thread is None or not self._thread.is_alive:
            stopped = self._stopped = threading.Event()
            self._thread = NativeThread(lambda: self._run(stopped), "hive-children")

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopped.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """Look often again: a task begins. A repeat does nothing."""
        if not self._wanted.is_set():
            self._wanted.set()

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(LOOK_EVERY_S):
            self._wanted.clear()
            try:
                self.run_once()
            except (OSError, psutil.Error):
                logger.exception("pool processes could not be looked at this time")
            # After the look that saw the last task gone.
            if not state.requests and not stopped.is_set():
                self._wanted.wait(IDLE_LOOK_EVERY_S)

    def run_once(self) -> None:
        """Look once, and report if it is time."""
        children = self._children()
        requests = self._requests = {
            request.worker_pid: request for request in tuple(state.requests.values()) if request.worker_pid
        }
        bounds = {pid: self._bound_of(requests.get(pid)) for pid in children}
        for pid, bound in bounds.items():
            if pid in requests:
                requests[pid].memory_bound_mb = bound.memory_bytes // MEGABYTE_BYTES
        used = self._keeper.look(bounds)
        now_s = self._clock.monotonic_s()
        running = {pid: _running(requests[pid]) for pid in children if pid in requests}
        self._log.see(now_s, running, used)
        if now_s - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = now_s
            self._report(requests)

    def _report(self, requests: Mapping[int, Any]) -> None:
        children = [_described(pid, use, requests.get(pid)) for pid, use in self._log.children.items()]
        record = json.dumps({"host": host_name(), "children": children}).encode()
        tasks = [
            (agent_type or "-", f"{use.memory_mb:.1f} {use.cpu_s:.3f} {use.wall_s:.3f}")
            for agent_type, use in self._log.take_finished()
        ]
        try:
            self._store().report_use(self._worker, record, tasks)
        except BrokerGoneError as error:
            logger.warning("what %d tasks used is not reported: %s", len(tasks), error)


def bounds_by(
    settings: WorkerSettings, host_memory_mb: int, needs_of: Callable[[Any], Resources | None]
) -> Callable[[Any | None], Bound]:
    """Return what says what a pool child may use that runs a certain request, or none.

    Args:
        settings: of the worker.
        host_memory_mb: memory the host, or the container, has.
        needs_of: returns what the task of a request is declared to need.
    """
    most_mb = settings.memory_bound_mb
    if most_mb is None:
        most_mb = round(host_memory_mb * SHARE_OF_HOST)

    def bound_of(request: Any | None) -> Bound:
        needs = None if request is None else needs_of(request.task)
        memory_mb = most_mb
        if needs is not None:
            asked_mb = round(needs.memory_mb * settings.memory_bound_of_needs)
            memory_mb = min(asked_mb, most_mb) if most_mb else asked_mb
        return Bound(memory_bytes=memory_mb * MEGABYTE_BYTES, processes=settings.processes_bound)

    return bound_of


def needs_of(app: Any, task: Any) -> Resources | None:
    """Return what a task declares to need, else what its agent type was declared to need; None: nobody said."""
    declared: Resources | None = getattr(task, "needs", None)
    if declared is not None:
        return declared
    agent_type = getattr(task, "agent_type", None)
    return None if agent_type is None else declared_needs(app.agent_types.require(agent_type, task=task.name))


class Bounds(bootsteps.StartStopStep):
    """Runs the watch over the children of a prefork pool from the worker's first connection to its end."""

    requires = ("hive.runtime.worker.consuming:Delivery",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._watch: ChildrenWatch | None = None
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Start it; at a later connection it runs already."""
        app = consumer.app
        if not isinstance(consumer.pool, TaskPool):
            return
        # Connected here, where a broker that is away makes the worker try again; the thread only uses it.
        if not isinstance(app.access.channel, Channel):
            return
        gate = getattr(consumer, "gate", None)
        if self._watch is None:
            host = read_host(app.settings.home)
            self._watch = ChildrenWatch(
                consumer.hostname,
                lambda: _children(consumer.pool),
                bounds_by(app.settings.worker, host.memory_mb, lambda task: needs_of(app, task)),
                lambda: app.access.store,
                lambda exceeded, request: _tell(consumer, exceeded, request),
                # A pool without an event loop of its own, which Celery has for Windows, marks nobody.
                consumer.pool._pool.marks if isinstance(consumer.pool._pool, AsynPool) else Marks(),
            )
        self._watch.start()
        if gate is not None:
            gate.on_passed = self._watch.wake

    def stop(self, consumer: Any) -> None:
        """Do nothing: tasks run on while a connection is lost."""

    def shutdown(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End it. A repeat does nothing."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None


def _children(pool: Any) -> list[int]:
    """Return the numbers of the pool's children that live; none while it is not started."""
    processes = pool._pool._pool if pool._pool is not None else ()
    return [process.pid for process in tuple(processes) if process.pid and psutil.pid_exists(process.pid)]


def _running(request: Any) -> Running:
    return Running(id=request.id, agent_type=getattr(request.task, "agent_type", None) or "")


def _described(pid: int, use: FamilyUse, request: Any | None) -> dict[str, Any]:
    return {
        "pid": pid,
        "task": None if request is None else request.name,
        "agent_type": (getattr(request.task, "agent_type", None) or "-") if request is not None else None,
        "memory_mb": round(use.memory_bytes / MEGABYTE_BYTES, 1),
        "cpu_s": round(use.cpu_s, 2),
        "processes": len(use.pids),
    }


def _tell(consumer: Any, exceeded: Exceeded, request: Any | None) -> None:
    """Name a pool child that was killed: in the log, as an event, and in what the message is told of its death."""
    name, task_id = ("", "no task") if request is None else (request.name, request.id)
    if request is not None:
        request.exceeded = str(exceeded)
    logger.error(
        "pool process %d that runs %s[%s] is killed, with %d processes it started: %s",
        exceeded.pid, name, task_id, exceeded.killed - 1, exceeded,
    )  # fmt: skip
    dispatcher = consumer.event_dispatcher
    if dispatcher is not None and dispatcher.enabled:
        event = ChildExceeded(
            task=name, resource=exceeded.what, used=exceeded.used, bound=exceeded.bound, killed=exceeded.killed
        )
        dispatcher.send(event.name, uuid=task_id if request is not None else None, **fields_of(event))
