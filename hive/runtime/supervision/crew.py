"""All parts of one supervisor."""

import os
import signal
import socket
from collections.abc import Callable, Iterable
from typing import Any

from hive.clock import Clock
from hive.runtime.app import Hive
from hive.runtime.home import Home
from hive.runtime.supervision.inbox import Inbox
from hive.runtime.supervision.part import Part
from hive.runtime.supervision.part_plan import PartPlan
from hive.runtime.supervision.restart import Backoff
from hive.runtime.supervision.state import PartReport, PartState


class Crew:
    """Starts parts, hears from them, starts them again when they end unasked.

    Args:
        app: the application, imported.
        app_path: where from.
        inbox: where parts are heard.
        clock: for pauses.
        on_wish: told what a part wants of the supervisor.
    """

    def __init__(
        self,
        app: Hive,
        app_path: str,
        inbox: Inbox,
        clock: Clock,
        on_wish: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._app, self._app_path, self._inbox, self._clock = app, app_path, inbox, clock
        self._home = Home(app.settings.home.absolute())
        self._lifeline = os.pipe()
        self._parts: list[Part] = []
        self._private: tuple[int, ...] = ()
        self._on_wish = on_wish

    def __len__(self) -> int:
        return len(self._parts)

    def plan(self, plans: Iterable[PartPlan], *, private: Iterable[int] = ()) -> None:
        """Take parts on, to be started by :meth:`start_due`.

        Args:
            plans: what to run.
            private: files of the supervisor that no forked part may keep open.
        """
        self._private = kept = (*self._private, *private)

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

    def have(self, plans: Iterable[PartPlan], drained: Iterable[str]) -> None:
        """Take further parts on, and let others end once what they run has ended. A repeat changes nothing.

        Args:
            plans: what is to run; a part that runs already, or waits to be started again, is left alone.
            drained: names of parts that are to end.
        """
        names = set(drained)
        for part in self._parts:
            if part.plan.name in names and part.state not in {PartState.STOPPING, PartState.STOPPED}:
                part.drain()
        self._parts = [part for part in self._parts if part.state is not PartState.STOPPED]
        # One that still drains keeps its name, and its node's, until it has ended.
        taken = {part.plan.name for part in self._parts}
        self.plan(plan for plan in plans if plan.name not in taken)

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
            said = os.read(readiness, 65_536)
            if not said:
                self._stop_hearing(part)
            for wish in part.heard(said, self._clock.monotonic_s()) if said else ():
                if self._on_wish is not None:
                    self._on_wish(wish)

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
