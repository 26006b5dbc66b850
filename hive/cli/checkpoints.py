"""``hive checkpoints``: the state of agents, for operators."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table

from hive.checkpoints.checkpoint import CheckpointInfo, Listing
from hive.checkpoints.store import CheckpointStore
from hive.cli.queue import json_option
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.errors import InputError
from hive.runtime.loading import load_app

COLUMNS = ("agent", "generation", "kind", "written", "label", "bytes", "stored", "key", "schema")


@click.group(epilog="Example: hive checkpoints list reviewer-7")
def checkpoints() -> None:
    """Look at the stored state of agents, remove what is old, and move it to a new key."""


@checkpoints.command("list", epilog="Example: hive checkpoints list reviewer-7 --json")
@click.argument("agent", required=False)
@app_option
@json_option
def list_checkpoints(agent: str | None, app_path: str, as_json: bool) -> None:
    """List the checkpoints of an agent, newest first; or of every agent the newest one."""
    store = _store(app_path)
    listings = [store.list(agent)] if agent is not None else [_newest_of(store.list(name)) for name in store.agents()]
    if as_json:
        click.echo(json.dumps([_described(one) for one in listings], indent=2))
        return
    table = Table(*COLUMNS, box=None, padding=(0, 1, 0, 0))
    for listing in listings:
        for info in listing.checkpoints:
            table.add_row(*_cells(info))
    table_console().print(table)
    _tell(listings)
    if agent is not None and not listings[0].checkpoints and not listings[0].damaged:
        click.echo(
            f"hive: there is no checkpoint of agent {agent!r}: `hive checkpoints list` shows who has one", err=True
        )


@checkpoints.command(epilog="Example: hive checkpoints show reviewer-7 --generation 12 --json")
@click.argument("agent")
@app_option
@click.option("--generation", type=click.IntRange(min=1), help="That one; the newest valid one if not given.")
@json_option
def show(agent: str, app_path: str, generation: int | None, as_json: bool) -> None:
    """Show a checkpoint with its state; of bytes only the first 200."""
    found = _store(app_path).read(agent, generation=generation)
    if found is None:
        which = "no checkpoint" if generation is None else f"no generation {generation}"
        raise InputError(f"there is {which} of agent {agent!r}: `hive checkpoints list` shows what there is")
    described = {**asdict(found), "is_newest": found.is_newest}
    if isinstance(found.state, bytes):
        described["state"] = found.state[:200].hex()
    if as_json:
        click.echo(json.dumps(described, indent=2))
        return
    for key, value in described.items():
        click.echo(f"{key:>17}  {_line(key, value)}")


@checkpoints.command(epilog="Example: hive checkpoints prune")
@app_option
@json_option
def prune(app_path: str, as_json: bool) -> None:
    """Remove what is older than checkpoints.keep_s, but for pinned ones and the newest three of each agent."""
    _count(_store(app_path).prune(), "removed", as_json)


@checkpoints.command(epilog="Example: HIVE_CHECKPOINTS_KEYS=new:...,old:... hive checkpoints reencrypt")
@click.argument("agent", required=False)
@app_option
@json_option
def reencrypt(agent: str | None, app_path: str, as_json: bool) -> None:
    """Move an agent's checkpoints, or all, to the first of checkpoints.keys; repeat it if it is interrupted."""
    store = _store(app_path)
    if store.settings.keys is None:
        raise InputError("there is no key to encrypt with: set HIVE_CHECKPOINTS_KEYS to ID:BASE64 of 32 bytes")
    _count(store.reencrypt(agent), "reencrypted", as_json)


def _store(app_path: str) -> CheckpointStore:
    store: CheckpointStore = load_app(app_path).checkpoints
    return store


def _newest_of(listing: Listing) -> Listing:
    return Listing(agent=listing.agent, checkpoints=listing.checkpoints[:1], damaged=listing.damaged)


def _described(listing: Listing) -> dict[str, Any]:
    return asdict(listing)


def _cells(info: CheckpointInfo) -> Sequence[str]:
    return (
        _printable(info.agent),
        f"{info.generation:,}",
        info.kind.value,
        _time(info.at_ms),
        _printable(info.label or "-"),
        f"{info.size_bytes:,}",
        f"{info.stored_bytes:,}",
        info.key_id or "-",
        f"{info.schema_version}",
    )


def _tell(listings: Sequence[Listing]) -> None:
    for listing in listings:
        for damage in listing.damaged:
            which = "the head" if damage.generation is None else f"generation {damage.generation}"
            click.echo(f"damaged: {which} of agent {_printable(listing.agent)}: {damage.reason}", err=True)


def _count(count: int, word: str, as_json: bool) -> None:
    click.echo(json.dumps({word: count}) if as_json else f"{count:,} checkpoints {word}")


def _line(key: str, value: Any) -> str:
    if key == "at_ms":
        return _time(value)
    return _printable(value if isinstance(value, str) else json.dumps(value))


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _printable(text: str) -> str:
    # What an agent's state says must not steer the terminal.
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[:2000])
