"""``hive schedule rest`` and ``hive schedule simulate``: who is put to sleep, how far that goes, and a dry run of a week."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hive.cli.chart import Line, Panel, page
from hive.cli.queue import json_option, reached
from hive.cli.recorded import arrivals, picture_option, written
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.consolidation.stages import Mode
from hive.errors import InputError
from hive.learning.idleness import INTERVAL_S
from hive.learning.series import Series
from hive.runtime.loading import load_app
from hive.runtime.rest.scheduler import RestScheduler, RoundReport
from hive.runtime.rest.switches import Switches
from hive.settings.scheduler import SchedulerSettings
from hive.simulation.sleepers import Outcome, Terms, simulate_sleep, week_of_agents

#: Decisions that are shown.
SHOWN = 15


@click.command("rest", epilog="Example: hive schedule rest --mode live --advance")
@app_option
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="How far it goes.")
@click.option("--advance", is_flag=True, help="Let its flag reach more agents: 1, 10, 25, 50, 100 %.")
@click.option("--anyway", is_flag=True, help="Advance before its stage has had its time and moves.")
@click.option("--roll-back", is_flag=True, help="Take its flag back to nobody, at once and everywhere.")
@click.option("--stop/--release", "stop", default=None, help="Press or release the emergency stop.")
@click.option("--round", "do_round", is_flag=True, help="Do a round here and now.")
@json_option
def rest(app_path: str, mode: str | None, stop: bool | None, as_json: bool, **given: bool) -> None:
    """Show whom the scheduler would put to sleep, how often it was right, and how far it goes; change that.

    It looks at all agents every five minutes. In shadow, the default, it decides and records; in validation it also
    consolidates dry; live it acts on the agents that its flag reaches.
    """
    app = reached(app_path)[0]
    scheduler: RestScheduler = app.rest
    switches, now_ms = scheduler.switches, app.access.store.server_time_ms()
    _change(switches, now_ms, mode, stop, given)
    report = scheduler.round() if given["do_round"] else None
    position, told = switches.position(), scheduler.told()
    if as_json:
        standing = {"mode": position.mode, "stopped": position.is_stopped, "flag": asdict(position.rollout)}
        click.echo(json.dumps({**standing, **told, "round": _told(report)}, indent=2))
        return
    _show(position.mode, position.is_stopped, asdict(position.rollout), told, report)


def _change(switches: Switches, now_ms: int, mode: str | None, stop: bool | None, given: dict[str, bool]) -> None:
    """Turn the switches that were named; what lets the scheduler do more only once nothing refuses."""
    if given["advance"] and given["roll_back"]:
        raise InputError("--advance and --roll-back are opposites: give one")
    if given["anyway"] and not given["advance"]:
        raise InputError("--anyway says how to --advance: give both")
    if stop:
        switches.stop()
    if given["roll_back"]:
        switches.roll_back(now_ms)
    if given["advance"]:
        switches.advance(now_ms, anyway=given["anyway"])
    if stop is False:
        switches.release()
    if mode is not None:
        switches.go(Mode(mode))


@click.command("simulate", epilog="Example: hive schedule simulate --arrivals day.csv --agents 200 --picture week.html")
@click.option(
    "--arrivals",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV of counts of one day (also .gz): a row of minutes for each agent, or one agent's counts, one a line.",
)
@app_option
@click.option(
    "--agents", "agents_count", type=click.IntRange(min=1), default=1_000, show_default=True, help="In the fleet."
)
@click.option("--hours", type=click.IntRange(min=1), default=168, show_default=True, help="That pass.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed draws the same messages.")
@click.option("--step-s", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds of a count.")
@picture_option("Write a page with curves (HTML).")
@json_option
def simulate(path: Path, app_path: str, *, seed: int, picture: Path | None, as_json: bool, **given: Any) -> None:
    """Run the scheduler dry over recorded load: sleeps, wakes, hours gained, and every safety rule held against it.

    Each agent goes through one recorded source day after day, from an hour of its own. The bounds are the application's
    settings ([scheduler]).
    """
    terms = Terms(settings=load_app(app_path).settings.scheduler)
    days = [_in_fives(series) for series in arrivals(path, given["step_s"], 100_000)]
    loads = week_of_agents(days, given["agents_count"], given["hours"], seed)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("simulating", total=given["hours"] * 12)
        outcome = simulate_sleep(loads, terms, on_round=lambda _: progress.advance(bar))
    if picture is not None:
        written(picture, _page(outcome, terms.settings))
    if as_json:
        click.echo(json.dumps({**_figures(outcome), "seed": seed, "violations": outcome.violations}, indent=2))
    else:
        _print_outcome(outcome)
    if outcome.violations:
        raise click.exceptions.Exit(1)


def _in_fives(series: Series) -> list[float]:
    each = round(INTERVAL_S / series.step_s)
    if each < 1:
        raise InputError(f"{series.name}: a count of {series.step_s:g} s is too coarse, {INTERVAL_S:g} s are the most")
    if len(series.values) < each:
        raise InputError(f"{series.name}: {len(series.values)} counts are too few, {each} are the least")
    return [sum(series.values[first : first + each]) for first in range(0, len(series.values) - each + 1, each)]


def _told(report: RoundReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    return {
        "was_done": report.is_leading,
        "agents": report.agents_count,
        "done": dict(report.done or {}),
        "seconds": round(report.seconds, 3),
    }


def _show(mode: Mode, is_stopped: bool, flag: dict[str, Any], told: dict[str, Any], report: RoundReport | None) -> None:
    click.echo(f"mode {mode.value}, flag at {flag['stage']} %{', EMERGENCY STOP' if is_stopped else ''}")
    if flag["stage"] or flag["reason"]:
        click.echo(f"at this stage {flag['moved_count']} moves, {flag['failed_count']} failed; {flag['reason']}")
    click.echo(_accuracy(told["judged"]))
    if report is not None:
        done = ", ".join(f"{agent}: {what}" for agent, what in (report.done or {}).items()) or "nothing to do"
        click.echo(f"round of {report.agents_count} agents: {done}" if report.is_leading else "another round goes on")
    if not told["decisions"]:
        click.echo("no decision would have done anything yet: the first needs four hours of an agent's past")
        return
    table = Table("when", "agent", "what", "benefit", "why", "held back by", "done", box=None, padding=(0, 1, 0, 0))
    for line in told["decisions"][-SHOWN:]:
        at = datetime.fromtimestamp(line["at_ms"] / 1000, UTC)
        why = "; ".join(line["reasons"][:2])
        table.add_row(
            f"{at:%d %H:%M}",
            line["agent"],
            line["action"],
            f"{line['benefit']:.2f}",
            why,
            line["held_back_by"],
            line["done"],
        )
    table_console().print(table)


def _accuracy(judged: dict[str, int]) -> str:
    idle = judged.get("idle_right", 0) + judged.get("busy_wrong", 0)
    busy = judged.get("busy_right", 0) + judged.get("idle_wrong", 0)
    if not idle or not busy:
        return f"foretellings that are over: {sum(judged.values())}; both idle and busy half hours are needed to judge"
    balanced = (judged.get("idle_right", 0) / idle + judged.get("busy_right", 0) / busy) / 2
    return f"of {idle + busy} foretellings that are over: balanced accuracy {balanced:.1%}"


def _figures(outcome: Outcome) -> dict[str, Any]:
    return {
        "agents": outcome.agents_count,
        "hours": outcome.rounds_count / 12,
        "sleeps": outcome.actions["sleep"],
        "wakes_ahead": outcome.actions["wake"],
        "missed_wakes": outcome.missed_wakes_count,
        "consolidations": outcome.actions["consolidate"],
        "agent_hours_asleep": round(outcome.asleep_h, 1),
        "agent_hours_without_messages": round(outcome.quiet_h, 1),
        "most_asleep_share": round(outcome.most_asleep_share, 4),
        "saved_tokens": outcome.saved_tokens,
        "held_back": dict(outcome.held_back.most_common()),
    }


def _print_outcome(outcome: Outcome) -> None:
    table = Table("figure", box=None, show_header=False)
    table.add_column("value", justify="right")
    for name, value in _figures(outcome).items():
        if name != "held_back":
            table.add_row(name.replace("_", " "), f"{value:,}")
    table_console().print(table)
    for reason, count in outcome.held_back.most_common(5):
        click.echo(f"held back {count:,} times: {reason}")
    click.echo(f"safety rules crossed: {len(outcome.violations)} times")
    for violation in outcome.violations[:5]:
        click.echo(f"  {violation}")


def _page(outcome: Outcome, settings: SchedulerSettings) -> str:
    hours = [
        (number / 12, 100 * asleep / outcome.agents_count) for number, asleep in enumerate(outcome.asleep_by_round)
    ]
    bound = [(0.0, 100 * settings.asleep_share), (outcome.rounds_count / 12, 100 * settings.asleep_share)]
    lines = [Line(name="asleep", points=hours), Line(name="most that may be", points=bound, colour=1)]
    notes = [
        f"Simulated: {outcome.agents_count:,} agents.",
        f"Put to sleep from a chance of {settings.idle_chance:.0%} of an idle half hour, woken ahead at {settings.wake_chance:.0%}.",
        f"Safety rules crossed: {len(outcome.violations)} times.",
    ]
    hours_count = outcome.rounds_count / 12
    figures = _figures(outcome)
    held_back = figures.pop("held_back")
    rows = [["figure", "value"], *([name.replace("_", " "), f"{value:,}"] for name, value in figures.items())]
    rows += [[f"held back: {reason}", f"{count:,}"] for reason, count in held_back.items()]
    panel = Panel(title="agents asleep, percent", lines=lines, across="hours")
    return page(f"Sleep over {hours_count:g} hours", notes, [panel], rows)
