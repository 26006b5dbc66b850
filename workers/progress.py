"""How a review goes on: a live table of the pools on a terminal, a line for each pool that is through elsewhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from workers.steps import Ended, State, Step

#: Pictures a second of the live table.
REFRESH_PER_S = 5


class Progress:
    """Shows a review while it runs; a context manager, and a :class:`~workers.steps.Watch`.

    Args:
        console: where to; it decides whether there is a terminal.
        labels: what people read, by agent type.
    """

    def __init__(self, console: Console, labels: Mapping[str, str]) -> None:
        self._console, self._labels = console, labels
        self._total: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._lacking: Counter[str] = Counter()
        self._findings: Counter[str] = Counter()
        self._running: dict[str, int] = {}
        self._live = Live(console=console, refresh_per_second=REFRESH_PER_S, transient=True, get_renderable=self.table)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def say(self, sentence: str) -> None:
        """Print a sentence above the table."""
        self._console.print(sentence, style="dim", highlight=False)

    def planned(self, steps: Sequence[Step]) -> None:
        """The review begins; a repeat changes nothing."""
        self._total = Counter(sorted(step.agent for step in steps))

    def running(self, counts: dict[str, int]) -> None:
        """So many steps of each agent type run now."""
        self._running = counts

    def ended(self, ended: Ended) -> None:
        """A step has ended."""
        agent = ended.step.agent
        self._ended[agent] += 1
        self._findings[agent] += len(ended.outcome.findings) if ended.outcome else 0
        if ended.state is not State.DONE:
            self._lacking[agent] += 1
        if not self._console.is_terminal and self._ended[agent] == self._total[agent]:
            self.say(f"{self._labels.get(agent, agent)}: {self._line(agent)}")

    def table(self) -> Table:
        """Return the pools as they are now."""
        table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
        for heading in ("pool", "", "units", "running", "findings"):
            table.add_column(heading, justify="left" if heading in {"pool", ""} else "right")
        for agent, total in list(self._total.items()):
            ended, lacking = self._ended[agent], self._lacking[agent]
            table.add_row(
                self._labels.get(agent, agent),
                ProgressBar(total=total, completed=ended, width=24, finished_style="red" if lacking else "green"),
                f"{ended}/{total}" + (f" [red]({lacking} not done)[/]" if lacking else ""),
                str(self._running.get(agent, 0) or ""),
                f"{self._findings[agent]:,}",
            )
        return table

    def _line(self, agent: str) -> str:
        units, lacking = self._total[agent], self._lacking[agent]
        said = f"{units} unit{'s' if units != 1 else ''}, {self._findings[agent]:,} findings"
        return f"{said}, {lacking} not done" if lacking else said
