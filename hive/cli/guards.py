"""``hive guards``: breakers and limits, for operators."""

import json
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from hive.cli.queue import json_option, reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.errors import InputError, suggestion
from hive.monitoring.breakers import breaker_records
from hive.resilience.breaker import FOR_EVER, BreakerState
from hive.store.breakers import BreakerRecord
from hive.store.store import Store

COLUMNS = ("state", "probes in s", "calls", "failed", "probes out", "opened", "refused")


@click.group(epilog="Example: hive guards list --json")
def guards() -> None:
    """Look at breakers and limits, and open or close a breaker by hand."""


@guards.command("list")
@app_option
@json_option
def list_guards(app_path: str, as_json: bool) -> None:
    """Show every breaker and every limit in use: where it stands, what counts in its window, what was refused."""
    store = reached(app_path)[1]
    described = [_described(record) for record in breaker_records(store)]
    limits = store.limits()
    if as_json:
        click.echo(json.dumps({"breakers": described, "limits": [asdict(limit) for limit in limits]}, indent=2))
        return
    console = table_console()
    console.print(_breaker_table(described))
    if limits:
        table = Table("limit", box=None, padding=(0, 1, 0, 0))
        for heading in ("most", "used", "waiting"):
            table.add_column(heading, justify="right")
        for limit in limits:
            table.add_row(limit.name, f"{limit.most:,g}", f"{limit.used:,g}", f"{limit.waiting:,}")
        console.print(table)


def _breaker_table(described: list[dict[str, Any]]) -> Table:
    table = Table("breaker", "state", box=None, padding=(0, 1, 0, 0))
    for heading in COLUMNS[1:]:
        table.add_column(heading, justify="right")
    for one in described:
        due = "-" if one["probed_in_s"] is None else f"{one['probed_in_s']:,.1f}"
        counts = (one["calls"], one["failed"], one["probes_out"], one["opened_total"], one["refused_total"])
        table.add_row(one["name"], one["state"], due, *(f"{count:,}" for count in counts))
    return table


@guards.command("open", epilog="Example: hive guards open openai --for-s 600")
@click.argument("name")
@app_option
@json_option
@click.option(
    "--for-s", type=click.FloatRange(min=0), help="Seconds until it is probed; else until it is closed by hand."
)
@click.option("--new", is_flag=True, help="Also if no process has used a breaker of that name yet.")
def open_breaker(name: str, app_path: str, as_json: bool, for_s: float | None, new: bool) -> None:
    """Let no call to a dependency pass: tasks that declare it wait on the broker, or give their fallback."""
    store = reached(app_path)[1]
    if not new:
        _require(store, name)
    store.breaker_force(name, BreakerState.OPEN, for_s)
    _print_one(store, name, as_json)


@guards.command("close", epilog="Example: hive guards close openai")
@click.argument("name")
@app_option
@json_option
def close_breaker(name: str, app_path: str, as_json: bool) -> None:
    """Let calls to a dependency pass again, and count from zero."""
    store = reached(app_path)[1]
    _require(store, name)
    store.breaker_force(name, BreakerState.CLOSED)
    _print_one(store, name, as_json)


def _require(store: Store, name: str) -> None:
    known = store.breaker_names()
    if name not in known:
        raise InputError(f"no process has used a breaker {name!r}{suggestion(name, known)}")


def _print_one(store: Store, name: str, as_json: bool) -> None:
    record = store.breaker(name)
    if record is not None:
        described = _described(record)
        click.echo(json.dumps(described, indent=2) if as_json else f"breaker {name} is {described['state']} now")


def _described(record: BreakerRecord) -> dict[str, Any]:
    view = record.view
    counts = {key: value for key, value in asdict(record).items() if key not in {"name", "view"}}
    is_waiting = view.state is BreakerState.OPEN and view.until_ms != FOR_EVER
    probed_in_s = max(view.until_ms - view.now_ms, 0) / 1000 if is_waiting else None
    return {"name": record.name, "state": view.state.word, "probed_in_s": probed_in_s, **counts}
