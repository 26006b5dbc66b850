"""``hive queue``: what waits, and moving in from and out to stock Celery."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Column, Table

from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.errors import InputError
from hive.monitoring.figures import observe_queue
from hive.runtime.app import Hive
from hive.runtime.connection import broker_facts
from hive.runtime.durable.parked import parked_tasks
from hive.runtime.loading import load_app
from hive.store.store import Store
from hive.telemetry.events import QueueObserved, fields_of

#: What is shown of a queue, under headings that leave room for its whole name in 80 columns.
COLUMNS = {
    "ready": "ready",
    "behind": "be-\nhind",
    "in_lanes": "in\nlane",
    "scheduled": "sche-\nduled",
    "parked": "par-\nked",
    "in_flight": "in\nflight",
    "suspects": "sus-\npect",
    "dead": "dead",
    "consumers": "workers",
    "oldest_age_s": "age\ns",
}
#: Of these, what is shown only where a queue has some: most never have.
RARE = ("behind", "in_lanes", "parked", "suspects")

#: Characters of a task's id, which an operator copies whole, however narrow the table.
ID_WIDTH = 36

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
queue_option = click.option("--queue", "-q", "queues", multiple=True, help="A queue; all of the application if none.")


def queues_given(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the queues that are named, as arguments or by ``--queue``, as one argument ``queues``."""

    @functools.wraps(command)
    def run(names: tuple[str, ...], queues: tuple[str, ...], **options: Any) -> None:
        command(queues=(*names, *queues), **options)

    return click.argument("names", nargs=-1, metavar="[QUEUE]...")(queue_option(run))


@click.group(epilog="Example: hive queue list --json")
def queue() -> None:
    """Look at queues; take over from stock Celery, or give back to it."""


@queue.command("list")
@queues_given
@app_option
@json_option
def list_queues(queues: tuple[str, ...], app_path: str, as_json: bool) -> None:
    """Show what is ready, behind it for its key's turn, in lanes of single workers, scheduled, parked, in flight, suspect and dead in each queue.

    Of behind, in lane, parked and suspect the table shows those that a queue has; --json always has all.
    """
    app, store = reached(app_path)
    observed = [observe_queue(store, name) for name in chosen(app, queues)]
    if as_json:
        click.echo(json.dumps([fields_of(one) for one in observed], indent=2))
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("queue", no_wrap=True)
    columns = [name for name in COLUMNS if name not in RARE or any(getattr(one, name) for one in observed)]
    for column in columns:
        table.add_column(COLUMNS[column], justify="right")
    for one in observed:
        table.add_row(one.queue, *(_cell(getattr(one, column)) for column in columns))
    table_console().print(table)


@queue.command(epilog="Example: hive queue turns agent.code_reviewer")
@queues_given
@app_option
@json_option
def turns(queues: tuple[str, ...], app_path: str, as_json: bool) -> None:
    """Show for whom messages wait behind the ready list: keys and how many messages each has, most first."""
    app, store = reached(app_path)
    found = {name: store.waiting_by_key(name) for name in chosen(app, queues)}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table("queue", "key", box=None, padding=(0, 1, 0, 0))
    table.add_column("behind", justify="right")
    for name, counts in found.items():
        for key, count in counts.items():
            table.add_row(name, key, f"{count:,}")
    table_console().print(table)


@queue.command("parked", epilog="Example: hive queue parked --json")
@queues_given
@app_option
@json_option
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Tasks of a queue at most.")
def list_parked(queues: tuple[str, ...], app_path: str, as_json: bool, limit: int) -> None:
    """Show the tasks that wait without a slot for an event, an answer about a step, a time, or their agent to be awake.

    `hive wake TASK` lets one go on, with --event or --answer as it asks for.
    """
    app, store = reached(app_path)
    named = chosen(app, queues)
    tasks = [task for name in named for task in parked_tasks(store, name, limit)]
    if as_json:
        click.echo(json.dumps([asdict(task) for task in tasks], indent=2))
        return
    task_id = Column("task id", min_width=ID_WIDTH)
    table = Table(task_id, "task", "agent", "waits for", "until", "queue", box=None, padding=(0, 1, 0, 0))
    for task in tasks:
        awaited = f"{task.waits_for} {task.name}".strip()
        table.add_row(task.task_id, task.task, task.agent, awaited, _instant(task.until_ms), task.queue)
    table_console().print(table)
    count = sum(store.parked_count(name) for name in named)
    if count > len(tasks):
        click.echo(f"{len(tasks):,} of {count:,} are shown: give a larger --limit", err=True)


def _instant(at_ms: int | None) -> str:
    return "" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


@queue.command()
@queues_given
@app_option
@json_option
@click.option("--anyway", is_flag=True, help="Even while hive workers consume: they will claim it again.")
def release(queues: tuple[str, ...], app_path: str, as_json: bool, anyway: bool) -> None:
    """Give queues back to stock Celery: everything that waits becomes plain messages on the plain lists.

    Moves what is scheduled (its eta stays with it), what dead workers held, suspects and dead letters. What living
    workers hold stays theirs: stop them first. Repeating it does no harm.
    """
    app, store = reached(app_path)
    named = chosen(app, queues)
    if not anyway:
        require_no_consumers([observe_queue(store, name) for name in named])
    report(
        [{"queue": name, **release_all(store, name)} for name in named],
        ("scheduled", "in_flight", "suspects", "dead", "behind", "lanes", "held"),
        as_json,
    )


def require_no_consumers(observed: Sequence[QueueObserved]) -> None:
    """Refuse if living workers would claim again what is released.

    Raises:
        InputError: they would.
    """
    busy = [one.queue for one in observed if one.consumers]
    if busy:
        raise InputError(
            f"hive workers still consume {', '.join(busy)} and would claim again what is released: stop them first "
            "(one that was killed counts until its lease has ended), or say --anyway"
        )


def release_all(store: Store, name: str) -> dict[str, int]:
    """Release a queue batch by batch; returns how many were moved from where, and what living workers hold still."""
    lanes = store.drain_lanes(name)
    moved = dict.fromkeys(("scheduled", "in_flight", "suspects", "dead", "behind"), 0)
    while True:
        batch = store.release_queue(name)
        counts = {key: getattr(batch, key) for key in moved}
        moved = {key: moved[key] + counts[key] for key in moved}
        if not batch.remaining or not any(counts.values()):
            return {**moved, "lanes": lanes, "held": batch.remaining}


@queue.command()
@app_option
@json_option
@click.option(
    "--older-than-s",
    type=click.FloatRange(min=0),
    default=3_600.0,
    show_default=True,
    help="Visibility timeout of the stock workers; 0 takes everything, once none of them runs any more.",
)
def adopt(app_path: str, as_json: bool, older_than_s: float) -> None:
    """Take over what stock Celery workers left unacknowledged: it becomes ready again on its queue."""
    app, store = reached(app_path)
    adopted, left = adopt_all(store, routes(app), older_than_s)
    report([{"adopted": adopted, "left": left}], ("adopted", "left"), as_json)


def adopt_all(store: Store, lookup: Callable[[str, str], Sequence[str]], older_than_s: float) -> tuple[int, int]:
    """Adopt batch by batch; returns how many were moved, and how many lead to no queue of the application."""
    adopted = left = 0
    while True:
        batch = store.adopt_unacked(lookup, older_than_s=older_than_s, offset=left)
        adopted, left = adopted + batch.adopted, left + len(batch.left)
        if not batch.remaining:
            return adopted, left


def routes(app: Hive) -> Callable[[str, str], list[str]]:
    """Return what tells the queues of the application that an exchange and a routing key lead to."""
    channel = app.access.channel
    for declared in app.amqp.queues.values():
        declared(channel).declare()
    return lambda exchange, key: list(channel._lookup(exchange, key))


def reached(app_path: str) -> tuple[Hive, Store]:
    """Return the application and its broker's store.

    Raises:
        BrokerError: the broker cannot be reached or used.
    """
    app = load_app(app_path)
    broker_facts(app)
    return app, app.access.store


def chosen(app: Hive, names: Sequence[str]) -> list[str]:
    """Return the queues that are named, else all queues the application knows."""
    return list(names) or list(app.amqp.queues)


def report(rows: list[dict[str, object]], columns: Sequence[str], as_json: bool) -> None:
    """Print what was moved."""
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    with_queue = "queue" in rows[0] if rows else False
    table = Table(*(["queue"] if with_queue else []), *(column.replace("_", " ") for column in columns), box=None)
    for row in rows:
        table.add_row(*([str(row["queue"])] if with_queue else []), *(f"{row[column]:,}" for column in columns))
    table_console().print(table)
