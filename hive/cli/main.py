"""The group of all commands, and how an error leaves it."""

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from hive.errors import HiveError

#: Entry point group under which an installed package names click commands.
COMMANDS = "hive.commands"

#: hive's own commands, by where they are: a worker's process need not load what a simulation or a chart takes.
OWN = {
    "agents": "hive.cli.agents:agents",
    "autoscale": "hive.cli.autoscale:autoscale",
    "beat": "hive.cli.serving:beat",
    "bench": "hive.cli.bench.command:bench",
    "checkpoints": "hive.cli.checkpoints:checkpoints",
    "config": "hive.cli.config:config",
    "consolidate": "hive.cli.consolidate:consolidate",
    "dead": "hive.cli.dead:dead",
    "down": "hive.cli.fleet:down",
    "flower": "hive.cli.serving:flower",
    "forecast": "hive.cli.forecast:forecast",
    "guards": "hive.cli.guards:guards",
    "memory": "hive.cli.memory:memory",
    "metrics": "hive.cli.metrics:metrics",
    "queue": "hive.cli.queue:queue",
    "resources": "hive.cli.resources:resources",
    "route": "hive.cli.route:route",
    "scale": "hive.cli.scale:scale",
    "sleep": "hive.cli.agents:sleep",
    "schedule": "hive.cli.schedule:schedule",
    "simulate": "hive.cli.simulate:simulate_command",
    "status": "hive.cli.fleet:status",
    "up": "hive.cli.fleet:up",
    "wake": "hive.cli.agents:wake",
    "worker": "hive.cli.serving:worker",
}


#: What a command exits with that Ctrl-C has ended, as a shell reports it.
INTERRUPTED = 130


class Commands(click.Group):
    """hive's own commands and those of installed packages, each loaded only when it is called or described."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; Ctrl-C that it does not take itself is a sentence."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("hive: stopped by Ctrl-C before it was done", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *OWN, *_installed()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name; hive's own win over a package's."""
        if cmd_name in OWN:
            own: click.Command = EntryPoint(cmd_name, OWN[cmd_name], COMMANDS).load()
            return own
        if cmd_name in _installed():
            return _load(_installed()[cmd_name])
        return super().get_command(ctx, cmd_name)


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


def main() -> None:
    """Run the command line; an error becomes one sentence and an exit code."""
    try:
        cli()
    except HiveError as exc:
        click.echo(f"hive: {exc}", err=True)
        sys.exit(exc.exit_code)
