"""The process that keeps a hive running on one machine.

It imports the application once, starts the broker if it is hive's own, forks the pools and beat, and starts again what
ends unasked. It has one thread and keeps no connection, so that it can fork at any time::

    lock -> broker -> fork parts -> [restart what ended, mind the broker] -> stop parts -> stop broker

Rules. SIGTERM, SIGINT and SIGHUP stop everything warmly: running tasks get ``worker.grace_s`` seconds, then SIGQUIT hands
them back, then SIGKILL; each further signal goes one step on. The broker ends with the supervisor that started it, and
stays if somebody else had. A supervisor that is killed takes nothing along: its parts notice within an instant and stop
warmly, and the broker stays for the next one to join.
"""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from billiard.util import get_pdeathsig

from hive.clock import Clock, SystemClock
from hive.errors import BrokerError, BrokerLockedError
from hive.runtime.app import Hive
from hive.runtime.broker import EmbeddedBroker
from hive.runtime.home import Home
from hive.runtime.loading import embedded_broker, ready_broker
from hive.runtime.lock import FileLock
from hive.runtime.supervision.crew import Crew
from hive.runtime.supervision.inbox import Inbox
from hive.runtime.supervision.logfile import trim
from hive.runtime.supervision.plan import HivePlan, part_plans, worker_parts
from hive.runtime.supervision.restart import Backoff
from hive.runtime.supervision.state import HiveReport, write_report

#: Seconds between two looks at what sends no signal: the broker, whether anybody uses the hive, the size of logs.
TICK_S = 1.0
UNUSED_TICK_S = 0.2
TRIM_EVERY_S = 60.0

#: Seconds a part may take after SIGQUIT before it is killed.
QUIT_S = 5.0

#: What every worker imports anyway: imported before the fork, its memory is there once.
SHARED_MODULES = (
    "billiard.popen_fork",
    "billiard.sharedctypes",
    "billiard.synchronize",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.worker",
    "celery.backends.redis",
    "celery.concurrency.prefork",
    "celery.events.dispatcher",
    "celery.events.receiver",
    "celery.worker.autoscale",
    "celery.worker.consumer",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.strategy",
    "hive.deadletter.archivist",
    "hive.monitoring.announcing",
    "hive.monitoring.figures",
    "hive.pools.prefork",
    "hive.pools.shrinking",
    "hive.resources.bounds",
    "hive.resources.families",
    "hive.resources.use",
    "hive.runtime.guarding.admission",
    "hive.runtime.calling.amqp",
    "hive.runtime.worker.autoscaler",
    "hive.runtime.worker.bounding",
    "hive.runtime.delivery.calls",
    "hive.runtime.worker.consuming",
    "hive.runtime.worker.control",
    "hive.runtime.results.dead_results",
    "hive.runtime.worker.event_stream",
    "hive.runtime.worker.garbage",
    "hive.runtime.worker.gate",
    "hive.runtime.worker.lanes",
    "hive.runtime.lean_commands",
    "hive.runtime.worker.load_meter",
    "hive.runtime.worker.pace",
    "hive.runtime.delivery.rejection",
    "hive.runtime.worker.request",
    "hive.runtime.worker.revoking",
    "hive.runtime.worker.sizing",
    "hive.runtime.worker.strategy",
    "hive.runtime.worker.watching",
    "kombu.pidbox",
    "kombu.transport.redis",
)


class Supervisor:
    """Runs a plan until it is told to stop, and leaves no process behind.

    Args:
        app: the application, imported.
        app_path: where from.
        plan: what to run.
        watch: called with the report after each change and at each tick; must not start threads.
        clock: for pauses and grace.
    """

    def __init__(
        self,
        app: Hive,
        app_path: str,
        plan: HivePlan,
        watch: Callable[[HiveReport], None],
        clock: Clock | None = None,
    ) -> None:
        self.app, self.app_path, self.plan, self.watch = app, app_path, plan, watch
        self.clock = clock or SystemClock()
        self.home = Home(app.settings.home.absolute())
        self._lock = FileLock(self.home.supervisor_lock)
        self._users = FileLock(self.home.users_lock)
        self._inbox = Inbox(self.stop)
        self._crew = Crew(app, app_path, self._inbox, self.clock, self._hear)
        #: How many workers of each agent type there are to be, where its scaler has said so.
        self._workers: dict[str, int] = {}
        self._broker: EmbeddedBroker | None = None
        self._owns_broker = False
        self._broker_pause = Backoff(app.settings.fleet.restart_max_s)
        self._broker_due_s: float | None = None
        self._broker_restarts = 0
        self._trim_at_s = 0.0
        self._stops_asked = 0
        self._started_at_ms = self.clock.wall_ms()
        self._address = app.connection_for_write().as_uri()
        self._written: HiveReport | None = None

    def run(self) -> None:
        """Start everything; return once it was told to stop and everything has ended.

        Raises:
            BrokerError: the broker cannot serve, or another supervisor with the same home runs.
            UnknownAgentTypeError: the plan names a type that nobody declared.
        """
        plans = part_plans(self.app, self.plan)
        tick_s = UNUSED_TICK_S if self.plan.until_unused else TICK_S
        with self._alone(), self._inbox:
            try:
                self._broker = embedded_broker(self.app)
                self._owns_broker = ready_broker(self.app)
                _share_memory()
                self._crew.plan(plans, private=[self._lock.fd])
                while not self._stops_asked and not self._is_unused():
                    self._have_workers()
                    self._crew.start_due()
                    self._announce()
                    self._inbox.wait(min(tick_s, self._crew.next_due_s()))
                    self._crew.collect()
                    self._mind_broker()
                    self._trim_logs()
            finally:
                self._end()

    def _hear(self, wish: dict[str, Any]) -> None:
        self._workers.update(wish.get("workers", {}))

    def _have_workers(self) -> None:
        """Start and drain workers until there are as many as there are to be; one that drains is given its time."""
        for name, count in self._workers.items():
            parts = worker_parts(self.app, self.plan, self.app.agent_types.require(name), count)
            wanted = {part.name for part in parts}
            there = [part.name for part in self._crew.reports() if part.name.partition(".")[0] == name]
            self._crew.have(parts, [other for other in there if other not in wanted])

    def stop(self) -> None:
        """Ask for the stop; each repeat goes one step on: warmly, by SIGQUIT, by SIGKILL."""
        self._stops_asked += 1

    def report(self) -> HiveReport:
        """Return where everything stands."""
        return HiveReport(
            process_id=os.getpid(),
            app=self.app_path,
            broker=self._address,
            owns_broker=self._owns_broker,
            started_at_ms=self._started_at_ms,
            parts=self._crew.reports(),
            broker_lost=self._broker_due_s is not None,
            broker_restarts=self._broker_restarts,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.home.prepare()
        if not self._lock.acquire(wait_s=0.3):
            raise BrokerLockedError(
                f"a hive (process {self._lock.signature()}) already runs with the home {self.home.path}: "
                "`hive status` shows it, `hive down` ends it, HIVE_HOME names another home"
            )
        self._lock.sign(os.getpid())
        try:
            yield
        finally:
            self.home.state.unlink(missing_ok=True)
            self._lock.release()
            self._users.release()

    def _is_unused(self) -> bool:
        """Whether the hive was started for commands that have all ended; from then on none can join."""
        return self.plan.until_unused and self._users.acquire()

    def _announce(self) -> None:
        report = self.report()
        if report != self._written:
            write_report(self.home, report)
            self._written = report
        self.watch(report)

    def _mind_broker(self) -> None:
        """Start our own broker again if it is gone: its data is on disk, and workers connect again by themselves."""
        if self._broker is None:
            return
        if self._broker.is_running():
            # Another command may have been quicker.
            self._broker_due_s = None
            return
        now_s = self.clock.monotonic_s()
        if self._broker_due_s is None:
            self._broker_due_s = now_s + self._broker_pause.ended(0.0)
        if now_s < self._broker_due_s:
            return
        try:
            self._owns_broker |= self._broker.ensure()
            self._broker_due_s = None
            self._broker_restarts += 1
        except BrokerError:
            # Its own log says why; the report shows no broker until a later attempt succeeds.
            self._broker_due_s = now_s + self._broker_pause.ended(0.0)

    def _trim_logs(self) -> None:
        now_s = self.clock.monotonic_s()
        if now_s < self._trim_at_s:
            return
        self._trim_at_s = now_s + TRIM_EVERY_S
        for log in (*self.home.logs.glob("*.log"), self.home.broker / "broker.log"):
            trim(log)

    def _end(self) -> None:
        """Stop the parts, then the broker if it is ours."""
        steps = [
            (signal.SIGTERM, self.app.settings.worker.grace_s),
            (signal.SIGQUIT, QUIT_S),
            (signal.SIGKILL, float("inf")),
        ]
        for asked, (number, patience_s) in enumerate(steps, start=1):
            self._crew.tell(number)
            deadline_s = self.clock.monotonic_s() + patience_s
            while self._crew.is_alive and self.clock.monotonic_s() < deadline_s:
                if self._stops_asked > asked and number is not signal.SIGKILL:
                    break
                self._announce()
                self._inbox.wait(0.2)
                self._crew.collect()
        self._crew.close()
        if self._broker is not None and self._owns_broker:
            self._broker.stop()
        self._announce()


def _share_memory() -> None:
    """Import what all parts need and exempt it from garbage collection, which would copy its pages into each."""
    for name in SHARED_MODULES:
        import_module(name)
    with suppress(OSError):
        # Each pool child asks to end with its parent, by a C declaration whose parser takes 5 MB once it was used.
        get_pdeathsig()
    gc.collect()
    gc.freeze()
