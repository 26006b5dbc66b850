"""``hive forecast``: what a forecast of a recorded series would have been worth, and what it says comes next."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from hive.cli.chart import Line, Panel, page
from hive.cli.recorded import picture_option, read, written
from hive.cli.screen import table_console
from hive.errors import InputError
from hive.learning.backtest import ENSEMBLE, HORIZONS, LAST_VALUE, SEASONAL_NAIVE, Backtest, backtest, geometric_mean
from hive.learning.series import Series

#: Intervals of the past that the picture shows.
SHOWN = 400


@click.command(epilog="Example: hive forecast --series arrivals.csv --picture forecast.html")
@click.option(
    "--series",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV of counts (also .gz): a number a row, timestamp,value, or a row of minutes for each application.",
)
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="The busiest series at most.")
@click.option(
    "--horizon",
    "horizons",
    type=click.IntRange(min=1, max=1_000),
    multiple=True,
    default=HORIZONS,
    show_default=True,
    help="Intervals ahead; several are allowed.",
)
@click.option(
    "--step-s", type=click.FloatRange(min=0, min_open=True), default=60.0, help="Seconds of a row of plain CSV."
)
@click.option("--naive-season", type=click.IntRange(min=2), help="Season of the seasonal naive forecast; unset: a day.")
@picture_option("HTML page with the first series.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def forecast(
    path: Path,
    top: int,
    horizons: tuple[int, ...],
    step_s: float,
    naive_season: int | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Forecast each step of a recorded series from its past; compare the error with the naive forecasts'.

    The first half teaches, the second is judged. Errors are scaled (MASE); a ratio below 1 beats the better of last
    value and seasonal naive.
    """
    chosen = read(path, step_s, top)
    ahead = tuple(sorted(set(horizons)))
    short = [series.name for series in chosen if len(series.values) < 4 * max(ahead)]
    if short:
        raise InputError(f"too short for a horizon of {max(ahead)}, four times as many values are needed: {short[0]}")
    tests = [backtest(series, ahead, naive_season) for series in chosen]
    if picture is not None:
        written(picture, _page(chosen[0], tests[0]))
    if as_json:
        click.echo(json.dumps({"series": [_described(one) for one in tests], "ratio": _ratios(tests)}, indent=2))
        return
    table_console().print(_table(tests), _closing(tests), sep="\n", soft_wrap=True)


def _described(test: Backtest) -> dict[str, Any]:
    described = asdict(test)
    del described["forecasts"]
    return described


def _ratios(tests: list[Backtest]) -> dict[str, float]:
    horizons = [score.horizon for score in tests[0].scores]
    return {
        str(horizon): geometric_mean(test.scores[place].ensemble_ratio for test in tests)
        for place, horizon in enumerate(horizons)
    }


def _table(tests: list[Backtest]) -> Table:
    table = Table("series", box=None, header_style="bold")
    for heading in ("season", "ahead", "last", "seasonal", "hive", "ratio", "in 90 %", "outlook"):
        table.add_column(heading, justify="right", no_wrap=True)
    for test in tests:
        for score in test.scores:
            named = (test.name[:20], str(test.found_season)) if score is test.scores[0] else ("", "")
            expected = test.outlook[score.horizon - 1]
            mase = [f"{score.mase[name]:.3f}" for name in (LAST_VALUE, SEASONAL_NAIVE, ENSEMBLE)]
            row = (f"{score.ensemble_ratio:.3f}", f"{score.coverage:.0%}", f"{expected.value:,.1f}")
            table.add_row(*named, str(score.horizon), *mase, *row)
    return table


def _closing(tests: list[Backtest]) -> str:
    ratios = ", ".join(f"{ratio:.3f} at {horizon}" for horizon, ratio in _ratios(tests).items())
    return f"error against the better naive forecast, geometric mean of {len(tests)} series: {ratios}"


def _page(series: Series, test: Backtest) -> str:
    values, said = series.values[-SHOWN:], test.forecasts[-SHOWN:]
    first, end = len(series.values) - len(values), len(series.values)
    past = Line(name="recorded", points=list(enumerate(values, start=first)), colour=0)
    start = end - len(said)
    told = Line(
        name=f"forecast {test.scores[0].horizon} ahead",
        points=[(start + number, one.value) for number, one in enumerate(said)],
        band=[(one.low, one.high) for one in said],
        colour=1,
    )
    coming = Line(
        name="outlook",
        points=[(end + number, one.value) for number, one in enumerate(test.outlook)],
        band=[(one.low, one.high) for one in test.outlook],
        colour=2,
    )
    panel = Panel(
        title=f"{series.name}: arrivals per {series.step_s:g} s", lines=(told, past, coming), across="intervals"
    )
    heading = ["horizon", "last value", "seasonal naive", "hive", "ratio", "within 90 %"]
    rows = [
        [
            str(score.horizon),
            *(f"{score.mase[name]:.3f}" for name in (LAST_VALUE, SEASONAL_NAIVE, ENSEMBLE)),
            f"{score.ensemble_ratio:.3f}",
            f"{score.coverage:.0%}",
        ]
        for score in test.scores
    ]
    notes = ["Errors are scaled (MASE), on the second half; the shaded area holds 90 % of late errors."]
    return page(f"Forecast of {series.name}", notes, [panel], [heading, *rows])
