"""What happens to the parts of a hive, a line each."""

from collections.abc import Callable

from hive.runtime.supervision.state import HiveReport, PartReport, PartState


class Journal:
    """Tells what has changed from one report to the next.

    Args:
        write: takes one line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._seen: dict[str, PartReport] = {}
        self._broker_lost = False

    def watch(self, report: HiveReport) -> None:
        """Write a line for the broker and each part whose state is another one than in the last report."""
        if report.broker_lost != self._broker_lost:
            told = "ended unasked, starts again" if report.broker_lost else "is back"
            self._write(f"hive: the broker at {report.broker} {told}")
            self._broker_lost = report.broker_lost
        for part in report.parts:
            before = self._seen.get(part.name)
            if before is None or (before.state, before.restarts) != (part.state, part.restarts):
                self._write(f"hive: {part.name} {_told(part)}")
            self._seen[part.name] = part


def _told(part: PartReport) -> str:
    if part.state is PartState.WAITING and part.last_end:
        return f"ended ({part.last_end}), starts again"
    if part.state in {PartState.READY, PartState.STARTING}:
        return f"{part.state} (process {part.process_id})"
    return str(part.state)
