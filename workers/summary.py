"""The summary of a review: what a person reads at its end, and what a program does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workers.findings import Severity
from workers.report import Report

#: How each severity looks on a terminal.
STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
}

#: Units that were not done, and files that were not examined, that the summary names; the report has all.
MAX_NAMED = 5


def print_summary(console: Console, report: Report, labels: Mapping[str, str], paths: tuple[Path, ...]) -> None:
    """Print what was found, what was not done, and last of all where the report is."""
    console.print(_table(report, labels))
    where = (
        "one unit after another"
        if report.mode == "serial"
        else f"over {len(report.agents)} pool{'s' * (len(report.agents) > 1)}"
    )
    files, lines = len(report.files), sum(file.lines for file in report.files)
    console.print(
        f"{len(report.findings):,} findings in {files:,} files, {lines:,} lines; {report.wall_s:.1f} s {where}",
        highlight=False,
    )
    _print_lacking(console, report, labels)
    for path in paths:
        # A path must stay whole, to be opened or copied.
        console.print(str(path), style="bold", soft_wrap=True, markup=False, highlight=False)


def summary(report: Report, paths: tuple[Path, ...]) -> dict[str, Any]:
    """Return the same for a program."""
    return {
        "project": report.root,
        "complete": report.complete,
        "interrupted": report.interrupted,
        "mode": report.mode,
        "wall_s": report.wall_s,
        "startup_s": report.startup_s,
        "files": len(report.files),
        "lines": sum(file.lines for file in report.files),
        "findings": {
            "total": len(report.findings),
            "by_severity": report.by_severity(),
            "by_agent": {agent: sum(report.by_severity(agent).values()) for agent in report.agents},
        },
        "steps": len(report.steps),
        "not_done": [
            step.model_dump(mode="json", include={"agent", "task", "state", "reason"}) for step in report.lacking
        ],
        "skipped": len(report.skipped),
        "paths": [str(path) for path in paths],
    }


def _table(report: Report, labels: Mapping[str, str]) -> Table:
    table = Table("agent", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for severity in Severity:
        table.add_column(severity, justify="right", style=STYLES[severity])
    table.add_column("findings", justify="right")
    for agent in report.agents:
        counts = report.by_severity(agent)
        cells = [f"{counts[severity]:,}" if counts[severity] else "" for severity in Severity]
        table.add_row(escape(labels.get(agent, agent)), *cells, f"{sum(counts.values()):,}")
    return table


def _print_lacking(console: Console, report: Report, labels: Mapping[str, str]) -> None:
    if report.interrupted:
        done = len(report.steps) - len(report.lacking)
        console.print(f"[yellow]stopped: {done} of {len(report.steps)} units were done[/]; the report is partial")
    elif report.lacking:
        console.print(f"[yellow]{len(report.lacking)} of {len(report.steps)} units were not done:[/]")
        for step in report.lacking[:MAX_NAMED]:
            what = f"  {labels.get(step.agent, step.agent)}, {step.files} files: {step.state}: {step.reason}"
            console.print(what, markup=False, highlight=False)
    if report.skipped:
        console.print(f"not examined, or not by all agents: {len(report.skipped):,}", highlight=False)
        for item in report.skipped[:MAX_NAMED]:
            console.print(f"  {item.path}: {item.reason}", markup=False, highlight=False)
        if len(report.skipped) > MAX_NAMED:
            console.print(f"  and {len(report.skipped) - MAX_NAMED:,} more, which the report names", highlight=False)
