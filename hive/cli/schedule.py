"""``hive schedule``: what beat sends, and when. A command module of its own may add commands to the group."""

import difflib
import json
from datetime import datetime
from typing import Any

import click
from celery.schedules import BaseSchedule, solar
from rich.table import Table

from hive.cli import rest
from hive.cli.queue import json_option, reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.errors import InputError
from hive.runtime.app import Hive
from hive.runtime.beat.catching_up import POLICIES
from hive.runtime.beat.entry import crontab_of
from hive.runtime.beat.schedule import Scheduled

name_argument = click.argument("name", metavar="NAME")


@click.group(epilog='Example: hive schedule add tidy shop.tidy --crontab "30 6 * * 1-5" --zone Europe/Berlin')
def schedule() -> None:
    """Look at what beat sends, and change it while beats run; they follow within a second."""


@schedule.command("list", epilog="Example: hive schedule list --json")
@app_option
@json_option
def list_entries(app_path: str, as_json: bool) -> None:
    """Show every entry: when it is due next, in its own time zone, when it was sent last, and what was left out."""
    app = reached(app_path)[0]
    entries, leader = app.schedule.entries(), app.schedule.leader()
    if as_json:
        told = {"leader": leader.holder if leader else None, "entries": [_fields(entry) for entry in entries]}
        click.echo(json.dumps(told, indent=2))
        return
    table = Table("entry", "task", "schedule", "next", "last", box=None, padding=(0, 1, 0, 0))
    for heading in ("sent", "left out"):
        table.add_column(heading, justify="right")
    table.add_column("catch up")
    for entry in entries:
        due = "paused" if entry.is_paused else _shown(entry.next_at)
        counts = (f"{entry.sent:,}", f"{entry.left_out:,}")
        table.add_row(entry.name, entry.task, entry.schedule, due, _shown(entry.sent_at), *counts, entry.catch_up)
    table_console().print(table)
    click.echo(f"leader: {leader.holder}" if leader else "no beat leads: run `hive beat`", err=leader is None)


@schedule.command("add", epilog="Example: hive schedule add tidy shop.tidy --every-s 30 --kwargs '{\"deep\": true}'")
@name_argument
@click.argument("task", metavar="TASK")
@app_option
@json_option
@click.option("--every-s", type=click.FloatRange(min=0.001), help="Seconds between two due times.")
@click.option("--crontab", "expression", help="Minute, hour, day of month, month, day of week.")
@click.option("--solar", "event", help="EVENT:LATITUDE:LONGITUDE, such as sunset:52.5:13.4 (extra solar).")
@click.option("--zone", help="IANA time zone of a crontab; the application's if not given.")
@click.option("--args", "args", default="[]", help="Positional arguments, as JSON.", show_default=True)
@click.option("--kwargs", "kwargs", default="{}", help="Named arguments, as JSON.", show_default=True)
@click.option("--queue", help="Where to; the task's own if not given.")
@click.option(
    "--catch-up", type=click.Choice(POLICIES), help="What is sent of missed due times; beat.catch_up if not given."
)
@click.option("--catch-up-most", type=click.IntRange(1), help="Due times sent at once, at most.")
@click.option("--replace", is_flag=True, help="Also if there is an entry of that name.")
def add(name: str, task: str, app_path: str, as_json: bool, replace: bool, **given: Any) -> None:
    """Add an entry NAME that calls TASK; it is due from now on."""
    when = _when(given["every_s"], given["expression"], given["event"])
    args, kwargs = _json("--args", given["args"], list), _json("--kwargs", given["kwargs"], dict)
    app = reached(app_path)[0]
    app.schedule.add(
        name,
        task,
        when,
        args=args,
        kwargs=kwargs,
        options={"queue": given["queue"]} if given["queue"] else {},
        catch_up=given["catch_up"],
        catch_up_most=given["catch_up_most"],
        zone=given["zone"],
        replace=replace,
    )
    if task not in app.tasks:
        near = difflib.get_close_matches(task, app.tasks, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        click.echo(f"hive: the application has no task {task!r}: it is sent for workers that do{meant}", err=True)
    _tell(app, name, as_json, "due from now on")


@schedule.command("pause", epilog="Example: hive schedule pause tidy")
@name_argument
@app_option
@json_option
def pause(name: str, app_path: str, as_json: bool) -> None:
    """Send an entry no more until it is resumed; entries of the code too."""
    app = reached(app_path)[0]
    app.schedule.pause(name)
    _tell(app, name, as_json, "paused")


@schedule.command("resume", epilog="Example: hive schedule resume tidy")
@name_argument
@app_option
@json_option
def resume(name: str, app_path: str, as_json: bool) -> None:
    """Send a paused entry again, from now on: what fell due meanwhile is not made up for."""
    app = reached(app_path)[0]
    app.schedule.resume(name)
    _tell(app, name, as_json, "due from now on")


@schedule.command("run", epilog="Example: hive schedule run tidy --json")
@name_argument
@app_option
@json_option
def run(name: str, app_path: str, as_json: bool) -> None:
    """Send an entry now; its due times stay as they are."""
    result = reached(app_path)[0].schedule.run(name)
    click.echo(json.dumps({"entry": name, "task_id": result.id}) if as_json else f"entry {name} is sent: {result.id}")


@schedule.command("remove", epilog="Example: hive schedule remove tidy")
@name_argument
@app_option
@json_option
def remove(name: str, app_path: str, as_json: bool) -> None:
    """Forget an entry that was added at run time; one of the code can be paused only."""
    app = reached(app_path)[0]
    app.schedule.remove(name)
    _tell(app, name, as_json, "removed")


def _tell(app: Hive, name: str, as_json: bool, word: str) -> None:
    """Say what became of an entry: a sentence, or the entry as it stands now."""
    if not as_json:
        click.echo(f"entry {name} is {word}")
        return
    found = [_fields(entry) for entry in app.schedule.entries() if entry.name == name]
    click.echo(json.dumps(found[0] if found else {"name": name, "is_removed": True}, indent=2))


def _when(every_s: float | None, expression: str | None, event: str | None) -> float | BaseSchedule:
    if sum(given is not None for given in (every_s, expression, event)) != 1:
        raise InputError("say when: one of --every-s, --crontab and --solar")
    if every_s is not None:
        return every_s
    if expression is not None:
        return crontab_of(expression)
    words = str(event).split(":")
    if len(words) != 3:
        raise InputError(f"--solar {event!r}: EVENT:LATITUDE:LONGITUDE is meant")
    try:
        return solar(words[0], float(words[1]), float(words[2]))
    except ValueError as error:
        raise InputError(f"--solar {event!r}: EVENT:LATITUDE:LONGITUDE is meant ({error})") from error


def _json(option: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"{option} {text!r} is no JSON: {error}") from error
    if not isinstance(value, kind):
        raise InputError(f"{option} {text!r}: a JSON {'list' if kind is list else 'object'} is meant")
    return value


def _shown(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def _fields(entry: Scheduled) -> dict[str, Any]:
    given = {name: getattr(entry, name) for name in Scheduled.__dataclass_fields__}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in given.items()}


schedule.add_command(rest.rest)
schedule.add_command(rest.simulate)
