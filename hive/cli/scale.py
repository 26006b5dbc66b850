"""``hive scale``: sizes and what they were decided by, and sizes that somebody asks for."""

import json
from typing import Any

import click
from rich.table import Table

from hive.agents.types import AgentType
from hive.cli.queue import json_option, reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.errors import InputError
from hive.routing.report import worker_of
from hive.runtime.app import Hive
from hive.runtime.supervision.fleet_view import slots_each
from hive.runtime.supervision.plan import queues_of
from hive.runtime.worker.sizing import LOOK
from hive.store.store import Store

#: Changes that are shown of each agent type as JSON.
CHANGES = 10

#: Age in milliseconds from which the decision of a leader is not shown: none may be at work any more.
STALE_MS = 60_000

HEADINGS = ("workers", "slots", "busy", "wait", "oldest s", "asked", "target", "reason")


@click.command(epilog="Example: hive scale code_reviewer 6; hive scale code_reviewer auto")
@click.argument("agent_type", metavar="[TYPE]", required=False)
@click.argument("size", metavar="[SLOTS|auto]", required=False)
@app_option
@json_option
def scale(agent_type: str | None, size: str | None, app_path: str, as_json: bool) -> None:
    """Show how large each pool is, should be, and why; or have one keep a number of slots over all of its workers.

    SLOTS hold, within the type's range, until `auto` has demand decide again. Running tasks end before their slots go.
    """
    if agent_type is not None and size is not None:
        _ask(app_path, agent_type, size, as_json)
        return
    app, store = reached(app_path)
    types = list(app.agent_types.values()) if agent_type is None else [app.agent_types.require(agent_type)]
    rows = _rows(app, store, types)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = Table("agent type", box=None, padding=(0, 2, 0, 0))
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "reason" else "right", no_wrap=True)
    for row in rows:
        fields = ("workers", "slots", "busy", "waiting", "oldest_wait_s", "override")
        table.add_row(row["agent_type"], *(_cell(row[name]) for name in fields), _target(row), _cell(row["reason"]))
    table_console().print(table)


def bounds_of(app: Hive, agent: AgentType) -> tuple[int, int]:
    """Return the fewest and the most slots of a type over all of its workers."""
    return agent.workers.minimum * max(1, agent.concurrency.minimum), agent.workers.maximum * slots_each(app, agent)


def _ask(app_path: str, agent_type: str, size: str, as_json: bool) -> None:
    app, store = reached(app_path)
    agent = app.agent_types.require(agent_type)
    if size != "auto" and not size.isdecimal():
        raise InputError(f"{size!r} is no size: give a number of slots, or auto")
    least, most = bounds_of(app, agent)
    slots = None if size == "auto" else min(max(int(size), least), most)
    store.override_size(agent_type, slots)
    if as_json:
        click.echo(json.dumps({"agent_type": agent_type, "override": slots, "bounds": [least, most]}))
    elif slots is None:
        click.echo(f"hive: {agent_type} follows demand")
    else:
        changed = f", not {size}: agents.{agent_type}.concurrency and .workers allow {least} to {most}"
        kept = f"{slots} slot{'' if slots == 1 else 's'}"
        click.echo(f"hive: {agent_type} keeps {kept}{'' if slots == int(size) else changed}")
    # Workers with nothing to do ask nobody; they are told to.
    app.control.broadcast(LOOK)


def _rows(app: Hive, store: Store, types: list[AgentType]) -> list[dict[str, Any]]:
    decided, overrides = store.scaling_sizes(), store.size_overrides([agent.name for agent in types])
    return [_row(app, store, agent, decided.get(agent.name), overrides.get(agent.name)) for agent in types]


def _row(app: Hive, store: Store, agent: AgentType, written: bytes | None, override: int | None) -> dict[str, Any]:
    queues = queues_of(app, agent)
    demands = store.demand(queues)
    lanes = [lane for lane in store.lanes(queues[0]) if lane.is_alive]
    workers = [worker for lane in lanes if (worker := worker_of(lane.worker, lane.waiting, lane.load)) is not None]
    changes = [json.loads(record) for record in store.scaling_history(agent.name, CHANGES)]
    fleet = json.loads(written) if written is not None else None
    if fleet is not None and app.process.clock.wall_ms() - fleet["at_ms"] > STALE_MS:
        fleet = None
    last = fleet or (changes[0] if changes else None)
    return {
        "agent_type": agent.name,
        "workers": demands[0].consumers,
        "slots": sum(worker.slots for worker in workers),
        "busy": sum(worker.busy for worker in workers),
        "waiting": sum(one.waiting for one in demands) + sum(lane.waiting for lane in lanes),
        "oldest_wait_s": round(max(one.oldest_wait_s for one in demands), 1),
        "bounds": bounds_of(app, agent),
        "override": override,
        "target": last["target"] if last is not None else None,
        "reason": last["reason"] if last is not None else None,
        "decision": fleet,
        "changes": changes,
    }


def _target(row: dict[str, Any]) -> str:
    """Return what was decided in the unit it was decided in: workers of a fleet, else slots of a worker."""
    if row["target"] is None:
        return "-"
    count, what = (row["target"], "slot") if row["decision"] is None else (row["decision"]["workers"], "worker")
    return f"{count} {what}{'' if count == 1 else 's'}"


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
