"""What ``hive simulate --route`` shows: the waits of the same tasks under several routing strategies."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from hive.cli.chart import Line, Panel, page
from hive.cli.recorded import written
from hive.cli.screen import table_console
from hive.errors import InputError
from hive.routing.named import strategy_of
from hive.simulation.routes import Crew, RouteOutcome, route
from hive.simulation.workload import Workload

FIGURES = ("wait p50 s", "p95 s", "p99 s", "sojourn p99 s", "busy", "in lanes", "stolen")


def show_routes(
    workloads: Sequence[Workload], strategies: Sequence[str], crew: Crew, picture: Path | None, *, as_json: bool
) -> None:
    """Simulate and print, and draw the first workload where a picture is asked for.

    Raises:
        InputError: the workers cannot serve what arrives.
    """
    runs = [
        (one, {name: route(one, strategy_of(name), crew) for name in strategies}) for one in _served(workloads, crew)
    ]
    if picture is not None:
        written(picture, _page(*runs[0]))
    if as_json:
        click.echo(json.dumps([_described(workload, found) for workload, found in runs], indent=2))
        return
    console = table_console()
    for workload, found in runs:
        console.print(_table(workload, found))


def _served(workloads: Sequence[Workload], crew: Crew) -> Sequence[Workload]:
    able = crew.slots * (crew.workers - crew.slow + crew.slow / crew.slow_times)
    for one in workloads:
        if one.demand >= able:
            raise InputError(
                f"{one.series.name} keeps {one.demand:,.1f} slots busy on average, and these workers do the work of "
                f"{able:,.1f}: waits would grow without end; give more --workers or --slots"
            )
    return workloads


def _described(workload: Workload, found: dict[str, RouteOutcome]) -> dict[str, object]:
    described = {name: asdict(outcome) for name, outcome in found.items()}
    for one in described.values():
        one.pop("waits")
    return {"series": workload.series.name, "arrivals": workload.series.total, "strategies": described}


def _figures(outcome: RouteOutcome) -> list[str]:
    times_s = (outcome.wait_p50_s, outcome.wait_p95_s, outcome.wait_p99_s, outcome.sojourn_p99_s)
    shares = (outcome.utilisation, outcome.in_lanes)
    return [*(f"{time_s:,.2f}" for time_s in times_s), *(f"{share:.0%}" for share in shares), str(outcome.stolen)]


def _table(workload: Workload, found: dict[str, RouteOutcome]) -> Table:
    title = f"{workload.series.name[:40]}: {workload.series.total:,.0f} tasks"
    table = Table("strategy", title=title, box=None, header_style="bold")
    for heading in FIGURES:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, outcome in found.items():
        table.add_row(name, *_figures(outcome))
    return table


def _page(workload: Workload, found: dict[str, RouteOutcome]) -> str:
    series = workload.series
    arrivals = [(number * series.step_s / 60, value) for number, value in enumerate(series.values)]
    waits = [
        Line(name=name, points=[(at_s / 60, max(wait_s, 0.01)) for at_s, wait_s in outcome.waits], colour=colour)
        for colour, (name, outcome) in enumerate(found.items())
    ]
    panels = [
        Panel(title=f"arrivals per {series.step_s:g} s", lines=[Line(name="recorded", points=arrivals)]),
        Panel(title="longest wait of an interval, seconds", lines=waits, logarithmic=True),
    ]
    table = [["strategy", *FIGURES], *([name, *_figures(outcome)] for name, outcome in found.items())]
    notes = ["Simulated: the same arrivals and service times for every strategy."]
    return page(f"{series.name[:40]}: waits by routing strategy", notes, panels, table)
