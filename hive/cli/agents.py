"""``hive agents``, ``hive sleep`` and ``hive wake``: agents and the tasks that wait, for operators."""

import json
from typing import Any

import click
from rich.table import Table

from hive.agents.lifecycle import diagram
from hive.cli.queue import json_option, reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.errors import InputError
from hive.runtime.agents.handles import Agents
from hive.runtime.durable.task import ANSWER
from hive.store.lifecycles import AgentRecord
from hive.store.run_values import Signalled
from hive.store.runs import SIGNAL_KEPT_MS
from hive.store.store import Store

DAY_MS = 86_400_000


@click.command(epilog="Example: hive agents --json")
@app_option
@json_option
@click.option("--keep", is_flag=True, help="First do the round: sleep windows, idle agents, states that timed out.")
@click.option("--diagram", "as_diagram", is_flag=True, help="Print the states of agents as a Mermaid diagram.")
def agents(app_path: str, as_json: bool, keep: bool, as_diagram: bool) -> None:
    """Show every agent: its state, since when and why, what runs of it, what waits for it, and its last failure."""
    if as_diagram:
        click.echo(diagram())
        return
    app, store = reached(app_path)
    if keep:
        for name, what in app.agents.keep().items():
            click.echo(f"agent {name}: {what}", err=True)
    now_ms = store.server_time_ms()
    described = [_described(record, now_ms) for record in store.agents()]
    if as_json:
        click.echo(json.dumps(described, indent=2))
        return
    table = Table("agent", "state", box=None, padding=(0, 1, 0, 0))
    for heading in ("for s", "idle s", "running", "waiting"):
        table.add_column(heading, justify="right")
    table.add_column("why")
    table.add_column("failure")
    for one in described:
        figures = (one["state_s"], one["idle_s"], one["running"], one["waiting"])
        table.add_row(
            one["name"], one["state"], *(f"{figure:,.0f}" for figure in figures), one["reason"], one["failure"]
        )
    table_console().print(table)


@click.command(epilog="Example: hive sleep reviewer-7")
@click.argument("agent")
@app_option
@click.option("--drain-s", type=click.FloatRange(min=0), help="Seconds its running tasks may take; else as set.")
def sleep(agent: str, app_path: str, drain_s: float | None) -> None:
    """Put AGENT to sleep: its tasks end or park at their next step, it is checkpointed, and its messages wait."""
    app, store = reached(app_path)
    # In a program an agent may sleep before its first message; on the command line an unknown name is a slip.
    _require(store.agent(agent) is not None, f"there is no agent {agent!r}: `hive agents` shows them")
    app.agent(agent).sleep("by hand", drain_s=drain_s)
    click.echo(f"agent {agent} sleeps")


@click.command(epilog='Example: hive wake reviewer-7; hive wake TASK --event approved --value \'{"by": "kim"}\'')
@click.argument("name", metavar="AGENT|TASK")
@app_option
@click.option("--event", help="Send this signal, to the agent's task that waits longest or to the task.")
@click.option("--value", help="JSON that comes with --event (null if not given), or with --answer result.")
@click.option(
    "--answer", type=click.Choice(["retry", "fail", "result"]), help="What becomes of the step TASK asks about."
)
@click.option("--anew", is_flag=True, help="Let an agent in state error go on without its state.")
def wake(name: str, app_path: str, event: str | None, value: str | None, answer: Any, anew: bool) -> None:
    """Wake a sleeping AGENT, or let a parked TASK go on: with a signal, an answer, or whatever it waits for.

    A signal that nobody waits for yet is kept for a week; `hive queue parked` shows which tasks wait, and for what.
    """
    _check_wake(event, value, answer, anew)
    app, store = reached(app_path)
    known: Agents = app.agents
    agent = known[name] if ":" not in name and store.agent(name) is not None else None
    payload = _parsed(value)
    if event is not None:
        told = agent.signal(event, payload) if agent is not None else known.signal(name, event, payload)
        _tell_signal(store, name, event, told, is_agent=agent is not None)
    elif answer is not None:
        _require(known.answer(name, answer, payload), f"task {name!r} asks about no step")
        click.echo(f"task {name} goes on")
    elif agent is not None:
        agent.reset() if anew else agent.wake("by hand")
        click.echo(f"agent {name} is awake")
    else:
        place = store.parked_run(name)
        if place is not None and place.event.startswith(ANSWER):
            raise InputError(f"task {name!r} asks about step {place.event.removeprefix(ANSWER)!r}: give --answer")
        _require(known.wake_task(name), f"there is no agent {name!r}, and no parked task of that id")
        click.echo(f"task {name} goes on")


def _tell_signal(store: Store, name: str, event: str, told: Signalled, *, is_agent: bool) -> None:
    if told is not Signalled.KEPT:
        click.echo(f"signal {event} to {name}: {told.name.lower()}")
        return
    whom = "a task of the agent" if is_agent else "a task of that id"
    click.echo(f"signal {event} to {name}: kept for {SIGNAL_KEPT_MS // DAY_MS} days, until {whom} asks for it")
    if not is_agent and not store.run_steps(name):
        # It may come: a signal can be sent beforehand.
        click.echo(
            f"there is no agent {name!r}, and nothing is known of a durable task of that id yet; if a name was misspelt, "
            "`hive agents` and `hive queue parked` show whom a signal can reach",
            err=True,
        )


def _check_wake(event: str | None, value: str | None, answer: str | None, anew: bool) -> None:
    _require((event is not None) + (answer is not None) + anew < 2, "give one of --event, --answer and --anew")
    if answer == "result":
        _require(value is not None, "--answer result needs --value, the JSON that the step is to have returned")
    else:
        _require(value is None or event is not None, "--value comes with --event or --answer result")


def _require(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise InputError(otherwise)


def _parsed(value: str | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except ValueError as error:
        raise InputError(f"--value {value!r} is no JSON: {error}") from error


def _described(record: AgentRecord, now_ms: int) -> dict[str, Any]:
    known = {name: getattr(record, name) for name in ("name", "by", "reason", "failure", "token")}
    return {
        **known,
        "state": record.state.value,
        "state_s": max(now_ms - record.since_ms, 0) / 1000,
        "idle_s": max(now_ms - record.active_ms, 0) / 1000,
        "ends_s": max(record.until_ms - now_ms, 0) / 1000 if record.until_ms else None,
        "running": len(record.running),
        "waiting": record.waiting_count,
        "policy": None if record.policy is None else record.policy.as_table(),
    }
