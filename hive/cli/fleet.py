"""``hive up``, ``hive down`` and ``hive status``: a whole hive on this machine."""

import sys
from contextlib import nullcontext

import click
from rich.console import Console

from hive.cli.screen import Screen, status_table, table_console
from hive.cli.serving import app_option
from hive.runtime.app import Hive
from hive.runtime.home import Home
from hive.runtime.loading import load_app
from hive.runtime.supervision.fleet import start_detached, stop_running
from hive.runtime.supervision.flower import login_hint, require_free_port
from hive.runtime.supervision.journal import Journal
from hive.runtime.supervision.plan import HivePlan, part_plans
from hive.runtime.supervision.state import read_report
from hive.runtime.supervision.status import hive_status
from hive.runtime.supervision.supervisor import Supervisor
from hive.settings.load import load_settings


@click.command(epilog="Example: hive up --slots 4 --flower")
@app_option
@click.option(
    "--slots", type=click.IntRange(min=0), help="Slots of each pool, within its type's range; fleet.slots if not given."
)
@click.option("--beat/--no-beat", default=None, help="Whether beat runs; fleet.beat if not given.")
@click.option("--flower", is_flag=True, help="Run Flower too, on fleet.flower_port.")
@click.option("--detach", "-d", is_flag=True, help="Go to the background once everything serves; `hive down` ends it.")
def up(app_path: str, slots: int | None, beat: bool | None, flower: bool, detach: bool) -> None:
    """Run a whole hive on this machine: broker, a pool for each agent type, beat.

    Ctrl-C (or SIGTERM) stops the pools warmly, then the broker if this command started it; once more stops faster. What
    ends unasked is started again.
    """
    app = load_app(app_path)
    plan = HivePlan(slots=slots, beat=beat, flower=flower)
    part_plans(app, plan)
    console = Console()
    if flower:
        _announce_flower(app, console)
    if detach:
        start_detached(app, app_path, plan, lambda progress: console.print(f"hive: {progress.detail}", highlight=False))
        return
    with Screen(app, console) if console.is_terminal else nullcontext(Journal(click.echo)) as shown:
        supervisor = Supervisor(app, app_path, plan, shown.watch)
        supervisor.run()
    ended = "and the broker have" if supervisor.report().owns_broker else "have"
    click.echo(f"hive: stopped; all pools {ended} ended, and what waits is kept")


def _announce_flower(app: Hive, console: Console) -> None:
    """Say where Flower will be.

    Raises:
        HiveError: somebody else is there. (That a hive with this home runs already is said later, and better.)
    """
    port = app.settings.fleet.flower_port
    if read_report(Home(app.settings.home.absolute())) is None:
        require_free_port(port)
    console.print(f"Flower: http://127.0.0.1:{port} ({login_hint(app.settings)})", highlight=False)


@click.command(epilog="Example: hive down")
def down() -> None:
    """End the hive of this home: supervisor, pools and beat warmly, then hive's own broker. What waits there is kept."""
    ended = stop_running(load_settings())
    click.echo(f"hive: ended {', '.join(ended)}" if ended else "hive: nothing was running")


@click.command(epilog="Example: hive status --json")
@app_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def status(app_path: str, as_json: bool) -> None:
    """Show broker, pools, workers and backlog; exit code 1 if no hive runs."""
    seen = hive_status(load_app(app_path))
    if as_json:
        click.echo(seen.model_dump_json(indent=2))
    else:
        table_console().print(status_table(seen))
    if not seen.is_running:
        click.echo("hive: no hive is running here; `hive up` starts one", err=True)
        sys.exit(1)
