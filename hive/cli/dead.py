"""``hive dead``: what was set aside, why, and putting it right."""

import functools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any

import click
from rich.table import Column, Table

from hive.cli.queue import chosen, queue_option, queues_given, reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.deadletter.history import past_of
from hive.deadletter.letter import Letter
from hive.deadletter.letters import DeadLetters
from hive.deadletter.poison import Reason
from hive.deadletter.selection import Selection
from hive.deadletter.transfer import exported, of_archive, put_back
from hive.errors import InputError
from hive.runtime.home import archive_of

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")

archived_option = click.option(
    "--archived", is_flag=True, help="Letters of the archive instead of the broker's; ages do not count."
)

_FILTERS = (
    click.option("--id", "ids", multiple=True, help="A dead letter id or task id; several are allowed."),
    click.option("--reason", type=click.Choice([reason.value for reason in Reason]), help="Why it is one."),
    click.option("--cause", help="Text that its cause contains."),
    click.option("--task", help="Name of its task."),
    click.option("--fingerprint", help="Of its kind, or the beginning of it; see `hive dead stats`."),
    click.option("--older-than-s", type=click.FloatRange(min=0), help="Set aside at least this long ago."),
    click.option("--younger-than-s", type=click.FloatRange(min=0), help="Set aside at most this long ago."),
)


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose letters, as one argument ``selection``."""

    @functools.wraps(command)
    def run(ids: tuple[str, ...], **options: Any) -> None:
        names = ("reason", "cause", "task", "fingerprint", "older_than_s", "younger_than_s")
        parts = {name: options.pop(name) for name in names}
        command(selection=Selection(ids=frozenset(ids), **parts), **options)

    for option in reversed(_FILTERS):
        run = option(run)
    return run


def deliberate(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that changes letters the option ``--all``, which it wants where it is given no filter."""

    @functools.wraps(command)
    def run(everything: bool, **options: Any) -> None:
        if options["selection"].is_everything and not everything and not options.get("dry_run"):
            what = command.__name__
            raise InputError(f"this would {what} every dead letter: say which (--reason, --task, ...), or --all")
        command(**options)

    return click.option("--all", "everything", is_flag=True, help="Needed where no filter is given.")(run)


@click.group(epilog="Example: hive dead stats")
def dead() -> None:
    """Look at dead letters, and put right what failed."""


@dead.command("list", epilog="Example: hive dead list --reason unknown_task --limit 20")
@queues_given
@app_option
@filtered
@archived_option
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Letters at most.")
@json_option
def list_letters(
    app_path: str, queues: tuple[str, ...], selection: Selection, archived: bool, limit: int, as_json: bool
) -> None:
    """List dead letters, oldest first in each queue."""
    letters = _found(app_path, queues, selection, archived=archived)
    found = [letter.summary() for letter in islice(letters, limit)]
    _print(found, ("id", "queue", "reason", "task", "at_ms", "redriven", "cause"), as_json)


@dead.command(epilog="Example: hive dead show 1763723927123456")
@click.argument("id_", metavar="ID")
@app_option
@queue_option
@archived_option
@json_option
def show(id_: str, app_path: str, queues: tuple[str, ...], archived: bool, as_json: bool) -> None:
    """Show all of one letter, by its id or its task's: reason, every delivery, headers, arguments, raw bytes."""
    letter = _archived_letter(app_path, queues, id_) if archived else _letters(app_path, queues).get(id_)
    described = letter.described()
    if as_json:
        click.echo(json.dumps(described, indent=2))
        return
    for key, value in described.items():
        if key not in {"deliveries", "traceback", "payload_b64"}:
            click.echo(f"{key:>13}  {_shown(key, value)}")
    for one in described["deliveries"]:
        click.echo(f"{'delivery':>13}  {_shown('at_ms', one['at_ms'])}  {one['worker'] or '-'}  {one['how']}")
    for line in described["traceback"].splitlines():
        click.echo(_shown("traceback", line))
    click.echo(f"{'bytes':>13}  {letter.stored.payload[:2000]!r}")


@dead.command(epilog="Example: hive dead stats --json")
@queues_given
@app_option
@filtered
@json_option
def stats(app_path: str, queues: tuple[str, ...], selection: Selection, as_json: bool) -> None:
    """Show how many letters there are of each kind, and what became of others."""
    letters, archive = _letters(app_path, queues), archive_of(reached(app_path)[0].settings)
    kinds = [asdict(kind) for kind in letters.kinds(selection)]
    counters = [{**row, "in_archive": archive.count(row["queue"])} for row in letters.counters()]
    if as_json:
        click.echo(json.dumps({"kinds": kinds, "queues": counters}, indent=2))
        return
    _print(kinds, ("count", "queue", "reason", "task", "fingerprint", "last_at_ms", "cause"), as_json=False)
    _print(counters, tuple(counters[0]) if counters else (), as_json=False)


@dead.command(epilog="Example: hive dead redrive --fingerprint 3fa1 --rate 50")
@app_option
@queue_option
@filtered
@click.option("--to", help="Another queue to move them to.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Letters a second at most.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@click.option("--fresh", is_flag=True, help="As first attempts, without deadline and expiry; their bytes change.")
@deliberate
@json_option
def redrive(
    app_path: str,
    queues: tuple[str, ...],
    selection: Selection,
    to: str | None,
    rate: float | None,
    dry_run: bool,
    fresh: bool,
    as_json: bool,
) -> None:
    """Move letters back to their queue: same id, same bytes. If it is interrupted, the same command does the rest.

    Without a filter all letters of the queues are meant, which --all must say; --dry-run only counts them.

    Deadlines and retries that are used up stay with the bytes: `late` of those that are meant will end at once with their
    fallback or as failed, and `retried` have the retries left that they had. Say --fresh if they shall not.
    """
    letters, (app, _) = _letters(app_path, queues), reached(app_path)
    pasts = [past_of(letter.headers, app.process.clock.wall_ms()) for letter in letters.find(selection)]
    late, retried = sum(past.is_late for past in pasts), sum(past.retries > 0 for past in pasts)
    moved = letters.redrive(selection, to=to, per_second=rate, dry_run=dry_run, fresh=fresh)
    row = {"redriven": 0 if dry_run else moved, "meant": moved, "late": late, "retried": retried}
    _print([row], tuple(row), as_json)
    if late and not fresh:
        word = "would end" if dry_run else "end"
        click.echo(f"{late} of them {word} at once, as their time is over: hive dead redrive --fresh", err=True)


@dead.command(epilog="""Example: hive dead edit 1763723927123456 --args '["src/"]' --kwargs '{"deep": true}'""")
@click.argument("id_", metavar="ID")
@app_option
@queue_option
@click.option("--args", "args_json", help="New arguments, a JSON list.")
@click.option("--kwargs", "kwargs_json", help="New keyword arguments, a JSON object.")
@json_option
def edit(
    id_: str, app_path: str, queues: tuple[str, ...], args_json: str | None, kwargs_json: str | None, as_json: bool
) -> None:
    """Give a letter other arguments; redrive it afterwards. Its ids stay."""
    if args_json is None and kwargs_json is None:
        raise InputError("nothing to edit: say --args or --kwargs")
    letter = _letters(app_path, queues).edit(id_, args=_parsed(args_json), kwargs=_parsed(kwargs_json))
    described = letter.described()
    _print(
        [{key: described[key] for key in ("id", "task", "args", "kwargs")}], ("id", "task", "args", "kwargs"), as_json
    )


@dead.command("export", epilog="Example: hive dead export --reason wrong_schema > letters.jsonl")
@queues_given
@app_option
@filtered
@archived_option
@click.option("--output", "-o", type=click.File("w"), default="-", help="File to write; standard output if not given.")
def export_letters(
    app_path: str, queues: tuple[str, ...], selection: Selection, archived: bool, output: IO[str]
) -> None:
    """Write letters as lines of JSON, all of each; they stay where they are."""
    for letter in _found(app_path, queues, selection, archived=archived):
        click.echo(exported(letter), file=output)


@dead.command("import", epilog="Example: hive dead export --archived | hive dead import")
@click.argument("lines", type=click.File("r"), default="-", metavar="[FILE]")
@app_option
@click.option("--to", help="Another queue for all of them.")
@json_option
def import_letters(lines: IO[str], app_path: str, to: str | None, as_json: bool) -> None:
    """Put exported letters back among the dead letters; those that are there already stay as they are."""
    read, added = put_back(reached(app_path)[1], lines, to=to)
    _print([{"read": read, "imported": added}], ("read", "imported"), as_json)


@dead.command(epilog="Example: hive dead purge --reason not_json --older-than-s 86400")
@app_option
@queue_option
@filtered
@deliberate
@json_option
def purge(app_path: str, queues: tuple[str, ...], selection: Selection, as_json: bool) -> None:
    """Remove letters for good. Export them first if in doubt."""
    _print([{"purged": _letters(app_path, queues).purge(selection)}], ("purged",), as_json)


def _letters(app_path: str, queues: tuple[str, ...]) -> DeadLetters:
    app, store = reached(app_path)
    return DeadLetters(store, chosen(app, queues))


def _found(app_path: str, queues: tuple[str, ...], selection: Selection, *, archived: bool) -> Iterator[Letter]:
    return _archived(app_path, queues, selection) if archived else _letters(app_path, queues).find(selection)


def _archived_letter(app_path: str, queues: tuple[str, ...], id_: str) -> Letter:
    for letter in _archived(app_path, queues, Selection(ids=frozenset({id_}))):
        return letter
    raise InputError(f"there is no dead letter {id_!r} in the archive: `hive dead list --archived` shows them")


def _archived(app_path: str, queues: tuple[str, ...], selection: Selection) -> Iterator[Letter]:
    app, _ = reached(app_path)
    archive = archive_of(app.settings)
    letters = (of_archive(one) for queue in chosen(app, queues) for one in archive.letters(queue))
    return (letter for letter in letters if selection.takes(letter))


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not JSON: {error}") from error


def _print(rows: list[dict[str, Any]], columns: Iterable[str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    names = tuple(columns)
    # An id is there to be copied: the others make room for it.
    headings = (Column(name.removesuffix("_ms").replace("_", " "), no_wrap=name == "id") for name in names)
    table = Table(*headings, box=None)
    for row in rows:
        table.add_row(*(_shown(name, row[name]) for name in names))
    table_console().print(table)


def _shown(name: str, value: Any) -> str:
    if name.endswith("at_ms") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    text = value if isinstance(value, str) else json.dumps(value)
    # What hostile bytes say must not steer the terminal.
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[:500]) or "-"
