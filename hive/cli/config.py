"""``hive config``: every setting, its value and where it came from."""

import json

import click
from pydantic import SecretStr
from rich.table import Table

from hive.agents.registry import load_registry
from hive.cli.screen import table_console
from hive.errors import suggestion
from hive.runtime.app import Hive
from hive.settings.load import Provenance, explain_settings


@click.command(epilog="Example: HIVE_DELIVERY_LEASE_S=10 hive config --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--explain", is_flag=True, help="Print the meaning of every setting too.")
def config(as_json: bool, explain: bool) -> None:
    """Print every setting, its value and where it came from; fail if they cannot work together."""
    settings, rows = explain_settings()
    # What only an application can judge: agent types, their retry strategies and bounds.
    Hive("config", settings=settings, set_as_current=False)
    for name in settings.agents:
        _announce_type(name)
    if as_json:
        click.echo(json.dumps({row.key: _record(row) for row in rows}, indent=2))
        return
    table = Table("setting", "value", "from", *(["meaning"] if explain else []), box=None, header_style="bold")
    for row in rows:
        cells = [row.key, _shown(row.value), row.source]
        table.add_row(
            *cells, *([row.description] if explain else []), style=None if row.source == "default" else "green"
        )
    table_console().print(table)


def _announce_type(name: str) -> None:
    """Say that a table declares a new agent type: its name may be that of another one, misspelt."""
    known = {agent.name for agent in load_registry().values()}
    if name not in known:
        click.echo(f"hive: [agents.{name}] declares an agent type of its own{suggestion(name, known)}", err=True)


def _record(row: Provenance) -> dict[str, object]:
    value = row.value
    if isinstance(value, SecretStr) or not isinstance(value, (str, int, float, bool, list, tuple, dict, type(None))):
        value = str(value)
    return {"value": value, "source": row.source, "meaning": row.description}


def _shown(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
