"""The group of all commands, and how an error leaves it."""

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from hive.cli.config import config
from hive.errors import HiveError

#: Entry point group under which an installed package names click commands.
COMMANDS = "hive.commands"

OWN = (config,)


class Commands(click.Group):
    """hive's own commands, and those of installed packages, which are loaded only when they are called or listed."""

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
        # A package called `workers` in the working directory hides ours: only its commands are missing.
        raise click.ClickException(f"the command {entry.name!r} of {entry.value} cannot be loaded: {exc}") from exc
    if not isinstance(found, click.Command):
        raise click.ClickException(f"{entry.value} is no click command")
    return found


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
