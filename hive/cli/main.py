"""The group of all commands, and how an error leaves it."""

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from hive.cli.bench.command import bench
from hive.cli.config import config
from hive.cli.dead import dead
from hive.cli.fleet import down, status, up
from hive.cli.forecast import forecast
from hive.cli.guards import guards
from hive.cli.metrics import metrics
from hive.cli.queue import queue
from hive.cli.route import route
from hive.cli.serving import beat, flower, worker
from hive.cli.simulate import simulate_command
from hive.errors import HiveError

#: Entry point group under which an installed package names click commands.
COMMANDS = "hive.commands"

OWN = (
    beat,
    bench,
    config,
    dead,
    down,
    forecast,
    flower,
    guards,
    metrics,
    queue,
    route,
    simulate_command,
    status,
    up,
    worker,
)


#: What a command exits with that Ctrl-C has ended, as a shell reports it.
INTERRUPTED = 130


class Commands(click.Group):
    """hive's own commands, and those of installed packages, which are loaded only when they are called or listed."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; Ctrl-C that it does not take itself is a sentence."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("hive: stopped by Ctrl-C before it was done", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *_installed()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name; hive's own win over a package's."""
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name not in _installed():
            return own
        return _load(_installed()[cmd_name])


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=COMMANDS)}


def _load(entry: EntryPoint) -> click.Command:
    try:
        found: Any = entry.load()
    except (ImportError, AttributeError) as exc:
        return _missing(entry, str(exc))
    return found if isinstance(found, click.Command) else _missing(entry, "it is no click command")


def _missing(entry: EntryPoint, why: str) -> click.Command:
    """Stand for a command that cannot be loaded, as when a user's own package `workers` hides ours."""
    sentence = f"the command {entry.name!r} ({entry.value}) cannot be loaded: {why}"

    def fail(_: tuple[str, ...]) -> None:
        raise click.ClickException(sentence)

    arguments: list[click.Parameter] = [click.Argument(["_"], nargs=-1, type=click.UNPROCESSED)]
    settings = {"ignore_unknown_options": True}
    return click.Command(
        entry.name, callback=fail, params=arguments, short_help="(cannot be loaded)", context_settings=settings
    )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="agent-hive", prog_name="hive")
def cli() -> None:
    """Celery for fleets of AI agents: one worker pool for each agent type.

    Example: hive review src/
    """


for _command in OWN:
    cli.add_command(_command)


def main() -> None:
    """Run the command line; an error becomes one sentence and an exit code."""
    try:
        cli()
    except HiveError as exc:
        click.echo(f"hive: {exc}", err=True)
        sys.exit(exc.exit_code)
