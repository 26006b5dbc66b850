"""All parts of one supervisor."""

import os
import signal
import socket
from collections.abc import Iterable

from hive.clock import Clock
from hive.runtime.app import Hive
from hive.runtime.home import Home
from hive.runtime.inbox import Inbox
from hive.runtime.part import Part, PartPlan
from hive.runtime.restart import Backoff
from hive.runtime.state import PartReport, PartState


class Crew:
    """Starts parts, hears from them, starts them again when they end unasked.

    Args:
        app: the application, imported.
        app_path: where from.
        inbox: where parts are heard.
        clock: for pauses.
    """

    def __init__(self, app: Hive, app_path: str, inbox: Inbox, clock: Clock) -> None:
        self._app, self._app_path, self._inbox, self._clock = app, app_path, inbox, clock
        self._home = Home(app.settings.home.absolute())
        self._lifeline = os.pipe()
        self._parts: list[Part] = []

    def __len__(self) -> int:
        return len(self._parts)

    def plan(self, plans: Iterable[PartPlan], *, private: Iterable[int] = ()) -> None:
        """Take parts on, to be started by :meth:`start_due`.

        Args:
            plans: what to run.
            private: files of the supervisor that no forked part may keep open.
        """
        kept = tuple(private)

        def in_child() -> None:
            self._inbox.leave()
            for fd in (self._lifeline[1], *kept):
                os.close(fd)

        for plan in plans:
            part = Part(
                plan,
                app=self._app,
                app_path=self._app_path,
                log=self._home.logs / f"{plan.name}.log",
                backoff=Backoff(self._app.settings.fleet.restart_max_s),
                lifeline=self._lifeline[0],
                in_child=in_child,
            )
            self._parts.append(part)

    @property
    def is_alive(self) -> bool:
        """Whether any part has a process."""
        return any(part.is_alive for part in self._parts)

    def start_due(self) -> None:
        """Start every part whose pause is over."""
        now_s = self._clock.monotonic_s()
        for part in self._parts:
            if part.state is PartState.WAITING and part.start_at_s <= now_s:
                self._start(part)

    def next_due_s(self) -> float:
        """Return the seconds until the next part is to be started; infinity if none waits."""
        now_s = self._clock.monotonic_s()
        pauses = (part.start_at_s - now_s for part in self._parts if part.state is PartState.WAITING)
        return max(0.0, min(pauses, default=float("inf")))

    def collect(self) -> None:
        """Note every part whose process has ended, and those that answer on their port now."""
        now_s = self._clock.monotonic_s()
        for part in self._parts:
            if part.process_id is None:
                continue
            if part.plan.port and part.state is PartState.STARTING and _answers(part.plan.port):
                part.heard_ready(now_s)
            ended, status = os.waitpid(part.process_id, os.WNOHANG)
            if ended:
                self._stop_hearing(part)
                part.ended(status, now_s)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to every part and start none again."""
        for part in self._parts:
            part.tell(number)

    def reports(self) -> tuple[PartReport, ...]:
        """Return where every part stands."""
        return tuple(part.report() for part in self._parts)

    def close(self) -> None:
        """Let go of the pipes; whoever still lives takes that for the supervisor's end."""
        for part in self._parts:
            self._stop_hearing(part)
        for fd in self._lifeline:
            os.close(fd)

    def _start(self, part: Part) -> None:
        readiness = part.start()

        def hear() -> None:
            if os.read(readiness, 4096):
                part.heard_ready(self._clock.monotonic_s())
            else:
                self._stop_hearing(part)

        self._inbox.listen(readiness, hear)

    def _stop_hearing(self, part: Part) -> None:
        if part.readiness is not None:
            self._inbox.ignore(part.readiness)
            os.close(part.readiness)
            part.readiness = None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
