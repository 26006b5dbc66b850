"""One supervised part of a hive: its process, and where it stands."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hive.runtime.app import Hive
from hive.runtime.supervision.child import PIPES_VARIABLE, run_forked
from hive.runtime.supervision.part_plan import PartPlan
from hive.runtime.supervision.restart import Backoff
from hive.runtime.supervision.serve import BOOTSTRAP, DRAIN, needs_patching
from hive.runtime.supervision.state import PartReport, PartState


class Part:
    """A process that is started again until it is told to end.

    Forked from the supervisor where that is safe, because then all parts share the memory of one imported application.
    On macOS system libraries do not survive a fork, and pools that patch blocking calls must do so before any import:
    those get an interpreter of their own.

    Args:
        plan: what to run.
        app: the application, imported.
        app_path: where from.
        log: file for what it prints.
        backoff: pauses between its ends and starts.
        lifeline: the pipe whose end tells it that the supervisor is gone, for reading.
        in_child: called in a forked process first, to let go of what is the supervisor's alone.
    """

    def __init__(
        self,
        plan: PartPlan,
        *,
        app: Hive,
        app_path: str,
        log: Path,
        backoff: Backoff,
        lifeline: int,
        in_child: Callable[[], None],
    ) -> None:
        self.plan, self.app, self.app_path, self.log, self.backoff = plan, app, app_path, log, backoff
        self.lifeline, self.in_child = lifeline, in_child
        self.forks = sys.platform == "linux" and not needs_patching(plan.arguments)
        self.state = PartState.WAITING
        self.process_id: int | None = None
        self.readiness: int | None = None
        self.restarts = 0
        self.last_end = ""
        self.start_at_s = 0.0
        self.ready_at_s: float | None = None
        self._begun = b""

    @property
    def is_alive(self) -> bool:
        """Whether it has a process that was not waited for yet."""
        return self.process_id is not None

    def start(self) -> int:
        """Start its process.

        Returns:
            The pipe on which it says that it serves, for reading.
        """
        heard, readiness = os.pipe()
        self.process_id = self._fork(heard, readiness) if self.forks else self._spawn(readiness)
        os.close(readiness)
        self.readiness = heard
        self.state = PartState.STARTING
        return heard

    def heard_ready(self, now_s: float) -> None:
        """Note that it serves; a repeat changes nothing.

        Args:
            now_s: monotonic.
        """
        if self.state is PartState.STARTING:
            self.state, self.ready_at_s = PartState.READY, now_s

    def ended(self, status: int, now_s: float) -> None:
        """Note how its process ended, and when to start the next one unless it was told to end.

        Args:
            status: as ``os.waitpid`` gives it.
            now_s: monotonic.
        """
        code = os.waitstatus_to_exitcode(status)
        self.last_end = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.process_id = None
        if self.state is PartState.STOPPING:
            self.state = PartState.STOPPED
            return
        served_s = 0.0 if self.ready_at_s is None else now_s - self.ready_at_s
        self.state, self.ready_at_s = PartState.WAITING, None
        self.restarts += 1
        self.start_at_s = now_s + self.backoff.ended(served_s)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to its process, if it has one, and expect it to end."""
        self.state = PartState.STOPPING if self.is_alive else PartState.STOPPED
        if self.process_id is not None:
            # Not waited for yet, so the number still names our child.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process_id, number)

    def drain(self) -> None:
        """Have its process end once what it runs has ended, however long that takes; it is not started again."""
        self.tell(DRAIN)

    def heard(self, said: bytes, now_s: float) -> list[dict[str, Any]]:
        """Take what its process says: that it serves, and in the lines that follow, what it wants of the supervisor.

        Args:
            said: bytes of its pipe.
            now_s: monotonic.

        Returns:
            What it wants, each whole.
        """
        self.heard_ready(now_s)
        *lines, self._begun = (self._begun + said).split(b"\n")
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def report(self) -> PartReport:
        """Return where it stands."""
        return PartReport(
            name=self.plan.name,
            state=self.state,
            process_id=self.process_id,
            slots=self.plan.slots,
            queues=self.plan.queues,
            restarts=self.restarts,
            last_end=self.last_end,
        )

    def _fork(self, heard: int, readiness: int) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        process_id = os.fork()
        if not process_id:
            os.close(heard)
            self.in_child()
            os.environ.update(self.plan.environ)
            run_forked(
                self.app,
                self.app_path,
                self.plan.arguments,
                lifeline=self.lifeline,
                readiness=readiness,
                log=self.log,
            )
        return process_id

    def _spawn(self, readiness: int) -> int:
        pipes = f"{self.lifeline},{readiness}"
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", BOOTSTRAP, self.app_path, *self.plan.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                pass_fds=[self.lifeline, readiness],
                env={**os.environ, **dict(self.plan.environ), PIPES_VARIABLE: pipes},
            )
        # The supervisor waits for all of its children itself.
        process.returncode = 0
        return process.pid
