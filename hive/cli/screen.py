"""What ``hive up`` and ``hive status`` show."""

import os
import sys
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hive.clock import SystemClock
from hive.errors import BrokerError
from hive.runtime.app import Hive
from hive.runtime.connection import backlogs
from hive.runtime.supervision.state import HiveReport, PartReport, PartState
from hive.runtime.supervision.status import HiveStatus

#: Seconds between two looks at the backlog.
BACKLOG_EVERY_S = 1.0

STYLES = {
    PartState.STARTING: "yellow",
    PartState.READY: "green",
    PartState.WAITING: "red",
    PartState.STOPPING: "yellow",
    PartState.STOPPED: "dim",
}


#: Columns where no terminal says how many there are, as in a pipe: nothing is cut off or wrapped there.
PIPE_WIDTH = 1000


def table_console() -> Console:
    """Return where a command prints its tables; names from outside steer nothing there."""
    is_known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(file=sys.stdout, width=None if is_known else PIPE_WIDTH, markup=False, highlight=False)


class Screen:
    """A table of the parts of a hive, drawn anew in place; draws only when asked, so that it needs no thread.

    Args:
        app: whose backlog is shown.
        console: where.
    """

    def __init__(self, app: Hive, console: Console) -> None:
        self._app = app
        self._clock = SystemClock()
        self._live = Live(console=console, auto_refresh=False)
        self._waiting: dict[str, int] = {}
        self._problem = ""
        self._looked_at_s = float("-inf")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def watch(self, report: HiveReport) -> None:
        """Show a report, with a backlog at most :data:`BACKLOG_EVERY_S` old."""
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_at_s >= BACKLOG_EVERY_S:
            self._look(report)
            self._looked_at_s = now_s
        self._live.update(self._drawn(report), refresh=True)

    def _look(self, report: HiveReport) -> None:
        if all(part.state is PartState.STOPPED for part in report.parts):
            return
        try:
            self._waiting = backlogs(self._app, [queue for part in report.parts for queue in part.queues])
            self._problem = ""
        except BrokerError as exc:
            self._problem = str(exc)

    def _drawn(self, report: HiveReport) -> Group:
        table = Table("part", "state", box=None, header_style="bold")
        for heading in ("process", "slots", "backlog", "restarts"):
            table.add_column(heading, justify="right")
        for part in report.parts:
            table.add_row(*self._row(part))
        line = Text(_line(report), style="dim")
        return Group(table, Text(self._problem, style="red") if self._problem else line)

    def _row(self, part: PartReport) -> list[Text | str]:
        waiting = str(sum(self._waiting.get(queue, 0) for queue in part.queues)) if part.queues else ""
        state = Text(part.state, style=STYLES[part.state])
        process = str(part.process_id or "")
        return [part.name, state, process, str(part.slots or ""), waiting, str(part.restarts or "")]


def _line(report: HiveReport) -> str:
    states = {part.state for part in report.parts}
    if states <= {PartState.STOPPED}:
        return "all parts have ended"
    if states & {PartState.STOPPING, PartState.STOPPED}:
        return "stopping: running tasks may end; Ctrl-C: faster"
    if report.broker_lost:
        return f"the broker {report.broker} ended unasked and starts again; Ctrl-C: stop"
    ready = sum(part.state is PartState.READY for part in report.parts)
    return f"{ready} of {len(report.parts)} parts serve; broker {report.broker}; Ctrl-C: stop"


def status_table(status: HiveStatus) -> Group:
    """Return what ``hive status`` shows to people."""
    table = Table("pool", "workers", box=None, header_style="bold")
    for heading in ("slots", "backlog"):
        table.add_column(heading, justify="right")
    broker = status.broker
    for pool in status.pools:
        # Nobody knows what waits on a broker that does not answer.
        backlog = str(pool.backlog) if broker.answers else "-"
        table.add_row(pool.agent_type, ", ".join(pool.workers) or "-", str(pool.slots or "-"), backlog)
    held = f"{broker.server}, {broker.used_memory_bytes / 1e6:.1f} MB" if broker.answers else broker.problem
    lines = [f"broker {broker.address} ({held})"]
    if status.supervisor is not None:
        others = ", ".join(f"{part.name} {part.state}" for part in status.supervisor.parts if not part.slots)
        lines.append(f"supervisor process {status.supervisor.process_id}" + (f"; {others}" if others else ""))
    return Group(table, *lines)
