"""One command's use of a hive: joined or started, waited for, left."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hive.agents.types import AgentType
from hive.clock import SystemClock
from hive.errors import HiveError
from hive.runtime.app import Hive
from hive.runtime.connection import broker_facts
from hive.runtime.home import Home
from hive.runtime.loading import embedded_broker
from hive.runtime.lock import FileLock
from hive.runtime.patience import until
from hive.runtime.supervision.interrupts import uninterrupted
from hive.runtime.supervision.plan import HivePlan, encode
from hive.runtime.supervision.state import HiveReport, PartState, read_report
from hive.runtime.supervision.supervisor import QUIT_S, UNUSED_TICK_S

#: Seconds workers have to answer whether they serve.
ANSWER_S = 1.0

#: Seconds between the steps of an end that an interrupt asks for: warmly, by SIGQUIT, by SIGKILL.
INTERRUPT_STEP_S = 0.5

#: Ends in a row without ever serving after which a pool is given up.
HOPELESS_ENDS = 3

Stage = Literal["broker", "pools", "ready", "stopping", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartProgress:
    """How far a start or stop is.

    Attributes:
        stage: what is waited for, or has been reached.
        ready: pools that serve.
        total: pools that are needed.
        detail: a sentence for people.
    """

    stage: Stage
    ready: int
    total: int
    detail: str


class Session:
    """From looking for a hive to leaving it.

    Args:
        app: the application, imported.
        app_path: where from.
        needed: agent types whose pools must serve.
        plan: what to start if no hive runs.
        on_progress: called with every step.
        timeout_s: seconds until all needed pools must serve.
    """

    def __init__(
        self,
        app: Hive,
        app_path: str,
        needed: Sequence[AgentType],
        plan: HivePlan,
        on_progress: Callable[[StartProgress], None] | None,
        timeout_s: float,
    ) -> None:
        self.app, self.app_path, self.needed, self.plan = app, app_path, needed, plan
        self.home = Home(app.settings.home.absolute()).prepare()
        self.process: subprocess.Popen[bytes] | None = None
        self._on_progress = on_progress
        self._timeout_s = timeout_s
        self._users = FileLock(self.home.users_lock)
        self._supervisor = FileLock(self.home.supervisor_lock)
        self._launching = FileLock(self.home.launch_lock)
        self._log = self.home.logs / "supervisor.log"
        self._log_begin_bytes = 0
        self._told: StartProgress | None = None

    @property
    def started(self) -> bool:
        """Whether the hive was started for this session."""
        return self.process is not None

    def join_or_start(self) -> None:
        """Return once all needed pools serve.

        Raises:
            BrokerError: the broker cannot serve.
            HiveError: the pools do not serve in time, or the home's hive serves another application.
        """
        # A hive that is about to end holds this lock alone: wait for its end, then start another.
        if not self._users.acquire(shared=True, wait_s=self._timeout_s):
            raise HiveError(f"the hive with the home {self.home.path} is stopping and has not ended: try again")
        self._tell("broker", 0, "looking for a hive")
        try:
            self._wait_until_served()
        finally:
            self._launching.release()

    def start(self) -> None:
        """Start a hive with all needed pools, whoever else may serve them, and return once they serve.

        Raises:
            HiveError: they do not serve in time.
        """
        try:
            self._launch(tuple(agent.name for agent in self.needed))
            self._wait_until_served()
        finally:
            self._launching.release()

    def _wait_until_served(self) -> None:
        clock = SystemClock()
        deadline_s = clock.monotonic_s() + self._timeout_s
        while not self._serves():
            if clock.monotonic_s() > deadline_s:
                raise HiveError(
                    f"the pools did not serve within {self._timeout_s:g} s ({self._missing()}); logs are in {self.home.logs}"
                )
            until(self._has_changed, 0.1)
        self._tell("ready", len(self.needed), "all pools serve")

    def leave(self) -> None:
        """End this use; return once a hive that was started for it has ended, unless others use it still."""
        self._users.release()
        process = self.process
        if process is None:
            return
        self._tell("stopping", 0, "stopping the pools")
        # Others who use it share the lock; a supervisor that is about to end has it alone.
        in_use = not until(lambda: process.poll() is not None or self._is_ending(), 10 * UNUSED_TICK_S)
        if in_use and process.poll() is None:
            self._tell("stopped", 0, "another command uses the hive and goes on")
            return
        self._wait_for_end(process)

    def interrupt(self) -> None:
        """End what was started for this session without waiting for running tasks, unless others use it; then leave."""
        self._users.release()
        process, alone = self.process, FileLock(self.home.users_lock)
        # Held until the end, it keeps others from joining what is about to go; a supervisor that ends has it itself.
        if process is not None and (alone.acquire() or self._is_ending()):
            self._tell("stopping", 0, "stopping the pools")
            for _ in range(4):
                process.terminate()
                if until(lambda: process.poll() is not None, INTERRUPT_STEP_S):
                    break
            self._wait_for_end(process)
            self.process = None
        alone.release()

    def abandon(self) -> None:
        """End what this session has started, whoever uses it; nothing, if it started nothing."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self._wait_for_end(self.process)

    def _wait_for_end(self, process: "subprocess.Popen[bytes]") -> None:
        process.wait(self.app.settings.worker.grace_s + QUIT_S + 60)
        self._clean_up(process.returncode)
        self._tell("stopped", 0, "pools and broker have ended")

    def _serves(self) -> bool:
        """Look once whether all needed pools serve; start a hive if none is there."""
        report = read_report(self.home)
        if report is not None:
            return self._serves_by(report)
        if self._supervisor.is_taken() or self.process is not None:
            self._check_started()
            return False
        missing = self._unserved()
        if missing:
            self._launch(missing)
        return not missing

    def _serves_by(self, report: HiveReport) -> bool:
        address = self.app.connection_for_write().as_uri()
        if (report.app, report.broker) != (self.app_path, address):
            raise HiveError(
                f"the hive with the home {self.home.path} serves {report.app} on {report.broker}, not {self.app_path} on "
                f"{address}: `hive down` ends it, HIVE_HOME names another home"
            )
        pools = [report.pool(agent.name) for agent in self.needed]
        ready = sum(pool is not None and pool.state is PartState.READY for pool in pools)
        self._tell("pools", ready, f"{ready} of {len(pools)} pools serve")
        for agent, pool in zip(self.needed, pools, strict=True):
            if pool is None:
                raise HiveError(
                    f"the hive with the home {self.home.path} has no pool of {agent.name}: `hive down` ends it"
                )
            if pool.state is not PartState.READY and pool.restarts >= HOPELESS_ENDS:
                log = self.home.logs / f"{pool.name}.log"
                raise HiveError(f"the pool {pool.name} does not start ({pool.last_end}): {log} says why")
        return ready == len(pools)

    def _unserved(self) -> tuple[str, ...]:
        """Return the needed types for whose queue no worker answers that knows our tasks."""
        names = tuple(agent.name for agent in self.needed)
        embedded = embedded_broker(self.app)
        if embedded is not None and not embedded.is_running():
            return names
        broker_facts(self.app)
        inspect = self.app.control.inspect(timeout=ANSWER_S)
        consuming = inspect.active_queues() or {}
        knowing = inspect.registered() if consuming else {}
        ours = {name for name in self.app.tasks if not name.startswith("celery.")}
        served = {
            queue["name"]
            for node, queues in consuming.items()
            if ours <= {told.partition(" ")[0] for told in (knowing or {}).get(node, ())}
            for queue in queues
        }
        return tuple(agent.name for agent in self.needed if agent.queue not in served)

    def _launch(self, missing: tuple[str, ...]) -> None:
        plan = HivePlan(
            agent_types=missing,
            slots=self.plan.slots,
            beat=self.plan.beat,
            flower=self.plan.flower,
            until_unused=self.plan.until_unused,
        )
        self._tell("broker", 0, f"starting {len(missing)} pools")
        # Whoever else holds it launches too; one of the two supervisors will have the home.
        self._launching.acquire(wait_s=0.3)
        # A process that nobody has noted would be nobody's to end.
        with self._log.open("ab") as log, uninterrupted():
            self._log_begin_bytes = log.tell()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hive.runtime.supervision.headless", encode(self.app_path, plan)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _check_started(self) -> None:
        """Say why a supervisor of ours has ended; one that lost a race for the home leaves us to join the winner."""
        if self.process is None or self.process.poll() is None:
            return
        if self._supervisor.is_taken():
            self.process = None
            return
        if self.process.returncode in {0, -signal.SIGTERM}:
            raise HiveError("the hive was stopped while it started, as by `hive down`; nothing of it is left")
        with self._log.open("rb") as log:
            log.seek(self._log_begin_bytes)
            lines = log.read().decode(errors="replace").strip().splitlines()
        said = next((line for line in reversed(lines) if line.startswith("hive: ")), lines[-1] if lines else "")
        raise HiveError(said.removeprefix("hive: ") or f"the supervisor ended at once; its log is {self._log}")

    def _is_ending(self) -> bool:
        probe = FileLock(self.home.users_lock)
        if not probe.acquire(shared=True):
            return True
        probe.release()
        return False

    def _has_changed(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def _missing(self) -> str:
        report = read_report(self.home)
        parts = report.parts if report else ()
        return (
            ", ".join(f"{part.name} {part.state}" for part in parts if part.state is not PartState.READY) or "no report"
        )

    def _clean_up(self, code: int) -> None:
        """End the broker of a supervisor that was killed; nobody else would."""
        embedded = embedded_broker(self.app)
        if code and embedded is not None and not self._supervisor.is_taken():
            embedded.stop()

    def _tell(self, stage: Stage, ready: int, detail: str) -> None:
        progress = StartProgress(stage=stage, ready=ready, total=len(self.needed), detail=detail)
        if self._on_progress is not None and progress != self._told:
            self._told = progress
            self._on_progress(progress)
