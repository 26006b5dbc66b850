"""``hive resources``: what this host has, what is booked of it, what agents used, and what they should ask for."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hive.cli.queue import json_option, reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.resources.advice import TaskUse, advise
from hive.resources.host import read_host
from hive.runtime.app import Hive
from hive.store.store import Store


@click.command(epilog="Example: hive resources --json")
@app_option
@json_option
def resources(app_path: str, as_json: bool) -> None:
    """Show what this host has, what agents have booked of it, what pool processes use, and what agent types should ask for."""
    app, store = reached(app_path)
    host = asdict(read_host(app.settings.home))
    found: dict[str, Any] = {
        "host": host,
        "booked": [{"holder": holder, **amounts} for holder, amounts in sorted(store.bookings(host["name"]).items())],
        "used": _used(store),
        "advice": _advice(app, store),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    console = table_console()
    _print_host(console, host)
    for title, rows in (
        ("booked here", found["booked"]),
        ("pool processes", found["used"]),
        ("advice", found["advice"]),
    ):
        console.print(f"\n{title}" if rows else f"\n{title}: none")
        if rows:
            console.print(_table(rows))


def _used(store: Store) -> list[dict[str, Any]]:
    """Return the pool processes of all workers that have reported lately."""
    reports = {worker: json.loads(record) for worker, record in store.worker_uses().items()}
    return [
        {"worker": worker, "host": report["host"], **child}
        for worker, report in sorted(reports.items())
        for child in report["children"]
    ]


def _advice(app: Hive, store: Store) -> list[dict[str, Any]]:
    """Return what is advised to each agent type of which tasks were measured."""
    found = []
    for name, written in store.task_uses(sorted(app.agent_types)).items():
        if written:
            asked = app.agent_types[name].needs
            advice = asdict(advise(asked, [_task_use(line) for line in written]))
            found.append({"agent_type": name, "asks_mb": asked.memory_mb, "asks_cores": asked.cores, **advice})
    return found


def _task_use(written: str) -> TaskUse:
    memory_mb, cpu_s, wall_s = map(float, written.split())
    return TaskUse(memory_mb=memory_mb, cpu_s=cpu_s, wall_s=wall_s)


def _print_host(console: Console, host: dict[str, Any]) -> None:
    console.print(
        f"{host['name']}: {host['cores']:g} cores, {host['memory_available_mb']:,} of {host['memory_mb']:,} MB of memory "
        f"available, {host['disk_free_mb']:,} of {host['disk_mb']:,} MB of disk free, {host['network_mbps']:,} Mbit/s"
    )
    for name, pressure in host["pressure"].items():
        console.print(f"  {name}: work stalled {pressure['some_percent']:.1f} % of the last ten seconds")


def _table(rows: Iterable[dict[str, Any]]) -> Table:
    rows = list(rows)
    table = Table(*(name.replace("_", " ") for name in rows[0]), box=None, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    return table
