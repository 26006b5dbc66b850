"""``hive simulate``: what a pool would have cost, and how long its tasks would have waited, under several scalers."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hive.cli.chart import Line, Panel, page
from hive.cli.kept_arrivals import kept_arrivals
from hive.cli.recorded import arrivals, opened_text, picture_option, written
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.cli.simulated_routes import show_routes
from hive.errors import InputError
from hive.learning.series import Series
from hive.routing.named import STRATEGIES
from hive.scaling.rules import ScalingRules
from hive.simulation.baselines import Baseline, candidates, stock
from hive.simulation.routes import Crew
from hive.simulation.run import Conditions, Outcome, simulate
from hive.simulation.scalers import HiveScaler, outlooks
from hive.simulation.workload import ServiceTimes, Workload, read_service_times

#: Seconds by which a baseline may wait longer than hive and still count as waiting as long.
GRAIN_S = 0.1
#: The shortest wait that a picture tells from none, in seconds.
LEAST_WAIT_S = 0.01
FIGURES = ("wait p50 s", "p95 s", "p99 s", "slot-hours", "busy", "most", "changes", "unserved")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One scaler's run over one recording."""

    scaler: str
    setting: str
    outcome: Outcome


@click.command("simulate", epilog="Example: hive simulate --arrivals day.csv --service-s 2.5 --picture day.html")
@click.option(
    "--arrivals",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV of counts (also .gz): a number a row, timestamp,value, or a row of minutes for each application.",
)
@click.option(
    "--history", metavar="TYPE", help="Instead: what came for that agent type of this hive, as its scaler kept it."
)
@click.option("--since", default="1d", show_default=True, help="How far back, such as 90m, 12h or 7d.")
@app_option
@click.option(
    "--service-s",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds a task takes (1 if not given; with --history what the scaler has seen last) ...",
)
@click.option(
    "--durations",
    type=click.Path(path_type=Path, dir_okay=False),
    help="... or CSV (also .gz) with quantiles in milliseconds for each application.",
)
@click.option(
    "--step-s", type=click.FloatRange(min=0, min_open=True), default=60.0, help="Seconds of a row of plain CSV."
)
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, help="The busiest series at most.")
@click.option("--minimum", type=click.IntRange(min=0), default=1, show_default=True, help="Fewest slots.")
@click.option("--maximum", type=click.IntRange(min=1), default=1_000, show_default=True, help="Most slots.")
@click.option(
    "--target-wait-s",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="What hive aims at.",
)
@click.option(
    "--lean", is_flag=True, help="hive starts slots for tasks that are there alone, as for a lean agent type."
)
@click.option(
    "--start-delay-s", type=click.FloatRange(min=0), default=5.0, help="Seconds until an ordered slot serves."
)
@click.option("--tune", is_flag=True, help="Give each baseline the settings that turn out best for the recording.")
@click.option(
    "--route",
    "routes",
    type=click.Choice(list(STRATEGIES)),
    multiple=True,
    help="Compare routing strategies over workers instead of scalers over a pool; give it once for each.",
)
@click.option("--workers", type=click.IntRange(min=1), default=10, show_default=True, help="With --route: how many.")
@click.option("--slots", type=click.IntRange(min=1), default=1, show_default=True, help="With --route: of each worker.")
@click.option(
    "--slow", type=click.IntRange(min=0), default=0, help="With --route: workers that take four times as long."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of instants within an interval, and durations.")
@picture_option("HTML page with the busiest series.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def simulate_command(
    path: Path | None,
    history: str | None,
    since: str,
    app_path: str,
    step_s: float,
    top: int,
    picture: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Serve recorded arrivals with hive's scaling policy, Celery's autoscaler, KEDA's list length and a fixed size.

    All of them under the same conditions; nobody is shown what has not happened yet, except that the fixed size is
    told the mean demand. With --tune a baseline's setting is, of those whose p99 wait is no longer than hive's, the
    one that costs least.

    With --route a fixed number of workers serves, and the routing strategies named are compared, with the very objects
    that callers route by and with load figures as old as theirs.
    """
    if (path is None) == (history is None):
        raise InputError("say what to serve: --arrivals FILE, or --history TYPE")
    service_s = options.pop("service_s")
    if path is not None:
        found = arrivals(path, step_s, top)
    else:
        series, seen_s = kept_arrivals(app_path, history or "", since)
        found, service_s = [series], service_s or seen_s
    services = _services(options.pop("durations"), service_s or 1.0, found)
    workloads = [Workload(series=one, service=services[one.name], seed=options["seed"]) for one in found]
    if options["routes"]:
        crew = Crew(workers=options["workers"], slots=options["slots"], slow=min(options["slow"], options["workers"]))
        show_routes(workloads, options["routes"], crew, picture, as_json=as_json)
        return
    runs = [(one.series, _compared(one, options)) for one in workloads]
    if picture is not None:
        written(picture, _page(*runs[0]))
    if as_json:
        click.echo(json.dumps([_described(series, results) for series, results in runs], indent=2))
        return
    console = table_console()
    for series, results in runs:
        console.print(_table(series, results))
        for result in results:
            console.print(f"{result.scaler}: {result.setting}", style="dim", soft_wrap=True)


def _services(durations: Path | None, service_s: float, found: list[Series]) -> dict[str, ServiceTimes]:
    if durations is None:
        return dict.fromkeys((series.name for series in found), ServiceTimes.fixed(service_s))
    with opened_text(durations) as lines:
        services = read_service_times(lines)
    missing = [series.name for series in found if series.name not in services]
    if missing:
        raise InputError(f"{durations} holds no durations of {missing[0]}")
    return services


def _compared(workload: Workload, options: dict[str, Any]) -> list[Result]:
    minimum, maximum, delay_s = options["minimum"], options["maximum"], options["start_delay_s"]
    rules = ScalingRules(
        minimum=minimum,
        maximum=maximum,
        target_wait_s=options["target_wait_s"],
        plan_ahead_s=delay_s + HiveScaler.EVERY_S,
    )
    rules = rules.lean() if options["lean"] else rules
    tasks, conditions = workload.drawn(), Conditions(start_delay_s=delay_s, first_slots=max(1, minimum))
    series = workload.series
    scaler = HiveScaler(rules, outlooks(series), series.step_s, delay_s)
    hive = Result(
        scaler="hive",
        setting=f"{'lean, ' if options['lean'] else ''}target wait {rules.target_wait_s:g} s",
        outcome=simulate(workload, scaler, conditions, tasks),
    )
    choices = (candidates if options["tune"] else stock)(minimum, maximum, workload.demand)
    others = [_result(one, simulate(workload, one.make(), conditions, tasks)) for one in choices]
    return [hive, *_best(others, hive.outcome.wait_p99_s + GRAIN_S)]


def _result(baseline: Baseline, outcome: Outcome) -> Result:
    return Result(scaler=baseline.kind, setting=baseline.setting, outcome=outcome)


def _best(results: list[Result], wait_s: float) -> list[Result]:
    """Of each kind the cheapest that waits no longer than that; if there is none, the one that waits least."""

    def rank(result: Result) -> tuple[float, float]:
        return max(wait_s, result.outcome.wait_p99_s), result.outcome.slot_seconds

    kinds = dict.fromkeys(result.scaler for result in results)
    return [min((one for one in results if one.scaler == kind), key=rank) for kind in kinds]


def _described(series: Series, results: list[Result]) -> dict[str, Any]:
    described = [asdict(result) for result in results]
    for one in described:
        one["outcome"].pop("waits")
    return {"series": series.name, "arrivals": series.total, "scalers": described}


def _figures(outcome: Outcome) -> list[str]:
    waits = (outcome.wait_p50_s, outcome.wait_p95_s, outcome.wait_p99_s)
    return [
        *(f"{wait_s:,.2f}" for wait_s in waits),
        f"{outcome.slot_seconds / 3600:,.2f}",
        f"{outcome.utilisation:.0%}",
        str(outcome.most_slots),
        str(outcome.changes),
        str(outcome.unserved),
    ]


def _table(series: Series, results: list[Result]) -> Table:
    table = Table("scaler", title=f"{series.name[:40]}: {series.total:,.0f} tasks", box=None, header_style="bold")
    for heading in FIGURES:
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        table.add_row(result.scaler, *_figures(result.outcome))
    return table


def _page(series: Series, results: list[Result]) -> str:
    each_min = series.step_s / 60
    over = len(series.values) * each_min
    # All panels are as long as the longest run, so that one minute stands below the same in the others.
    end = max(over, *(result.outcome.sizes[-1][0] / 60 for result in results))
    arrivals = [*((number * each_min, value) for number, value in enumerate(series.values)), (over, 0.0), (end, 0.0)]
    sizes, waits, costs = [], [], []
    # hive last, so that it lies on top.
    for colour, result in reversed(list(enumerate(results))):
        name, faint, outcome = result.scaler, colour > 0, result.outcome
        steps = [(at_s / 60, float(slots)) for at_s, slots in outcome.sizes]
        held = [*steps, (end, steps[-1][1])]
        sizes.append(Line(name=name, points=held, colour=colour, faint=faint, stepped=True))
        waited = _waited(outcome, each_min, end)
        waits.append(Line(name=name, points=waited, colour=colour, faint=faint, stepped=True))
        costs.append(Line(name=name, points=_paid(steps, end), colour=colour, faint=faint))
    panels = [
        Panel(title=f"arrivals per {series.step_s:g} s", lines=[Line(name="recorded", points=arrivals, stepped=True)]),
        Panel(title="slots", lines=sizes),
        Panel(title="longest wait of an interval, seconds", lines=waits, logarithmic=True),
        Panel(title="slot-hours paid for until then", lines=costs),
    ]
    table = [["scaler", *FIGURES, "setting"]]
    table += [[result.scaler, *_figures(result.outcome), result.setting] for result in results]
    notes = ["Simulated: the same arrivals and service times for every scaler."]
    return page(f"{series.name[:40]}: waits, sizes and cost", notes, panels, table)


def _waited(outcome: Outcome, each_min: float, end: float) -> list[tuple[float, float]]:
    """Return the longest wait of each interval over minutes; an interval in which nothing came has none."""
    points = [(0.0, LEAST_WAIT_S)]
    for at_s, wait_s in outcome.waits:
        points += [(at_s / 60, max(wait_s, LEAST_WAIT_S)), (at_s / 60 + each_min, LEAST_WAIT_S)]
    return [*points, (max(end, points[-1][0]), LEAST_WAIT_S)]


def _paid(steps: list[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """Return slot-hours over minutes, from the sizes."""
    paid, points = 0.0, [(0.0, 0.0)]
    for (since, slots), (until, _) in zip(steps, [*steps[1:], (end, 0.0)], strict=True):
        paid += slots * max(0.0, until - since) / 60
        points.append((until, paid))
    return points
