"""``hive consolidate``: compact what an agent remembers, and undo it."""

import json
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from hive.cli.queue import json_option, reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.consolidation.report import Job, Report, report_of
from hive.errors import InputError
from hive.runtime.consolidating import consolidator_of
from hive.runtime.loading import load_app


@click.command(epilog="Example: hive consolidate reviewer-7 --job context_compaction --dry-run")
@click.argument("agent", required=False)
@click.option("--all", "all_agents", is_flag=True, help="All agents; what is not of one agent is done once.")
@app_option
@click.option(
    "--job",
    "jobs",
    multiple=True,
    type=click.Choice([job.value for job in Job]),
    help="A job, several are allowed; all five if none.",
)
@click.option("--dry-run", is_flag=True, help="Only say what compaction would do.")
@click.option("--undo", "undone", metavar="RUN", help="Undo a run: what it took out comes back byte for byte.")
@click.option(
    "--runs", is_flag=True, help="List the runs so far, latest first; with --all those that were of no agent."
)
@json_option
def consolidate(
    agent: str | None,
    all_agents: bool,
    app_path: str,
    jobs: tuple[str, ...],
    dry_run: bool,
    undone: str | None,
    runs: bool,
    as_json: bool,
) -> None:
    """Compact what AGENT (or each) remembers, update the index, clean the broker, audit, and maintain the database.

    It may be interrupted at any time; the same command does the rest. Contexts younger than memory.compact_after_s stay
    as they are.
    """
    if dry_run + runs + (undone is not None) > 1:
        raise InputError("give one of --dry-run, --runs and --undo")
    if all_agents == (agent is not None):
        raise InputError("give an AGENT or --all")
    if undone is not None and agent is None:
        raise InputError("--undo wants the AGENT whose run it was")
    wanted = [Job(job) for job in jobs] or list(Job)
    needs_broker = Job.BROKER_CLEANUP in wanted and not (dry_run or runs or undone)
    app = reached(app_path)[0] if needs_broker else load_app(app_path)
    if runs:
        _print([report_of(one) for one in app.memories.runs(agent or "")], as_json)
        return
    consolidator = consolidator_of(app)
    if undone is not None and agent is not None:
        back = consolidator.undo(agent, undone)
        click.echo(json.dumps({"run": undone, "contexts_back": back}) if as_json else f"{back} contexts are back")
        return
    _print(consolidator.consolidate(agent, wanted, dry_run=dry_run), as_json)


def _print(reports: list[Report], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(report) for report in reports], indent=2))
        return
    table = Table("run", "job", "state", "tokens before", "after", "taken out", "written", "findings", box=None)
    for report in reports:
        table.add_row(
            report.run,
            report.job.value,
            report.state.value,
            f"{report.tokens_before:,}",
            f"{report.tokens_after:,}",
            _listed(report.dropped),
            f"{report.written_count:,}",
            _listed(report.findings),
        )
    table_console().print(table)


def _listed(values: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "-"
