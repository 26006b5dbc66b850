"""``hive memory``: what agents remember."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from hive.cli.queue import json_option
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.database.contexts import Context, ContextKind
from hive.errors import InputError
from hive.runtime.app import Hive
from hive.runtime.consolidating import memory_of
from hive.runtime.loading import load_app

#: Characters of a context that a table shows.
SHOWN_CHARS = 120


@click.group(epilog="Example: hive memory search reviewer-7 'which GCC'")
def memory() -> None:
    """Look at what agents remember."""


@memory.command("list", epilog="Example: hive memory list reviewer-7 --kind fact")
@click.argument("agent", required=False)
@app_option
@click.option("--kind", type=click.Choice([kind.value for kind in ContextKind]), help="Contexts of this kind only.")
@click.option("--source", help="Contexts of this conversation only.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Contexts at most, oldest first.")
@json_option
def list_contexts(
    agent: str | None, app_path: str, kind: str | None, source: str | None, limit: int, as_json: bool
) -> None:
    """List the contexts of AGENT, or all agents that remember anything and how much."""
    app = load_app(app_path)
    if agent is None:
        database = app.memories
        _print([{"agent": name, **asdict(database.size(name))} for name in database.agents()], as_json)
        return
    kinds = None if kind is None else [ContextKind(kind)]
    found = memory_of(app, agent).contexts(kinds=kinds, source=source, limit=limit)
    _print_contexts(found, as_json)
    if len(found) == limit and limit < (count := app.memories.size(agent).count):
        click.echo(f"hive: the first {limit} of {count:,}: --limit shows more", err=True)
    _tell_of_nobody(app, agent)


@memory.command(epilog="Example: hive memory search reviewer-7 'which GCC' --limit 3")
@click.argument("agent")
@click.argument("query")
@app_option
@click.option("--source", help="The conversation it is asked in; what belongs to it comes first.")
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, help="Contexts at most, best first.")
@json_option
def search(agent: str, query: str, app_path: str, source: str | None, limit: int, as_json: bool) -> None:
    """Search what AGENT remembers for QUERY: words in any order; what is new counts too, so that what has none of them may be there."""
    app = load_app(app_path)
    # Somebody looks: what is found was of no use to the agent.
    found = memory_of(app, agent).search(query, limit=limit, source=source, counts_use=False)
    _print_contexts(found, as_json)
    _tell_of_nobody(app, agent)


@memory.command(epilog="Example: hive memory show reviewer-7 4711")
@click.argument("agent")
@click.argument("id_", metavar="ID", type=int)
@app_option
@json_option
def show(agent: str, id_: int, app_path: str, as_json: bool) -> None:
    """Show a context of AGENT with all it says, from the archive if it left the memory."""
    own = memory_of(load_app(app_path), agent)
    found = [{**asdict(one), "archived": None} for one in own.contexts(ids=[id_])]
    found += [
        {**asdict(one.context), "archived": {"run": one.run, "reason": one.reason, "until_ms": one.until_ms}}
        for one in own.archived()
        if one.context.id == id_
    ]
    if not found:
        raise InputError(f"agent {agent!r} remembers no context {id_}: `hive memory list {agent}` shows them")
    if as_json:
        click.echo(json.dumps(found[0], indent=2))
        return
    for key, value in found[0].items():
        if key != "text":
            click.echo(f"{key:>12}  {_shown(key, value)}")
    click.echo()
    for line in str(found[0]["text"]).splitlines():
        click.echo(_printable(line))


def _tell_of_nobody(app: Hive, agent: str) -> None:
    if not app.memories.size(agent).count:
        click.echo(f"hive: agent {agent!r} remembers nothing: `hive memory list` shows who does", err=True)


def _print_contexts(found: Sequence[Context], as_json: bool) -> None:
    rows = [asdict(one) for one in found]
    if not as_json:
        columns = ("id", "kind", "author", "source", "at_ms", "used_count", "token_count", "text")
        rows = [{name: row[name] for name in columns} for row in rows]
    _print(rows, as_json)


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table(*(name.removesuffix("_ms").replace("_", " ") for name in (rows[0] if rows else ())), box=None)
    for row in rows:
        table.add_row(*(_shown(name, value)[:SHOWN_CHARS] for name, value in row.items()))
    table_console().print(table)


def _shown(name: str, value: Any) -> str:
    if name.endswith("at_ms") and value:
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return _printable(value if isinstance(value, str) else json.dumps(value)) or "-"


def _printable(text: str) -> str:
    # What somebody said must not steer the terminal.
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
