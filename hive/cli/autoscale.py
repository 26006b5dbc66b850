"""``hive autoscale``: the scaler of a fleet whose workers are started by something else than ``hive up``."""

import json
import signal
import threading

import click
from rich.table import Table

from hive.cli.queue import reached
from hive.cli.screen import table_console
from hive.cli.serving import app_option
from hive.errors import InputError
from hive.monitoring.scaling import ScalingPort, scaled_object
from hive.runtime.app import Hive
from hive.runtime.loading import load_app
from hive.runtime.supervision.actuators import Actuator, Command, Nobody
from hive.runtime.supervision.fleet_scaler import FleetScaler, described
from hive.scaling.fleet import PoolDecision


@click.command(epilog='Example: hive autoscale --command "docker compose scale {agent_type}={workers}"')
@app_option
@click.option(
    "--command",
    "template",
    metavar="TEMPLATE",
    help="Run for an agent type whose number of workers changes, with {agent_type} and {workers}; scaling.command if not "
    "given. Without, the figures are served and nothing is run.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port of the figures; scaling.port if not given.")
@click.option("--address", help="Address to listen on; scaling.address if not given.")
@click.option("--once", is_flag=True, help="Look once, print what would be decided, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print JSON instead of a table.")
@click.option(
    "--scaled-object",
    "scaled",
    metavar="TYPE",
    help="Print a KEDA ScaledObject for that agent type, which has Kubernetes follow the figures, and end.",
)
@click.option(
    "--url", default="http://hive-autoscale:8642", show_default=True, help="Where the ScaledObject finds the figures."
)
def autoscale(
    app_path: str,
    template: str | None,
    port: int | None,
    address: str | None,
    once: bool,
    as_json: bool,
    scaled: str | None,
    url: str,
) -> None:
    """Decide how many workers each agent type has, until it is stopped: within `workers` of its type and the budget of [scaling].

    Several may run: one decides, the others stand by and take over within seconds. /metrics/TYPE serves the figures.
    """
    if scaled is not None:
        bounds = load_app(app_path).agent_types.require(scaled).workers
        click.echo(scaled_object(scaled, bounds.minimum, bounds.maximum, url), nl=False)
        return
    if as_json and not once:
        raise InputError("--json comes with --once: what runs on prints a log; /metrics serves the figures as JSON")
    app, _ = reached(app_path)
    command = app.settings.scaling.command if template is None else template
    actuator: Actuator = Command(command) if command else Nobody()
    if once:
        _print(FleetScaler(app, list(app.agent_types.values()), Nobody()).observe(), app, as_json)
        return
    _serve(app, actuator, address, port)


def _serve(app: Hive, actuator: Actuator, address: str | None, port: int | None) -> None:
    settings = app.settings.scaling
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    app.log.setup(loglevel="INFO")
    listening = ScalingPort(
        lambda: app.access.store,
        app.process.clock,
        settings.address if address is None else address,
        settings.port if port is None else port,
    )
    try:
        listening.start()
    except OSError as error:
        raise InputError(f"the figures cannot be served: {error}; choose another --port or --address") from error
    click.echo(f"hive: figures at port {listening.port}, /metrics; Ctrl-C ends this")
    try:
        FleetScaler(app, list(app.agent_types.values()), actuator).run(stopped)
    finally:
        listening.stop()


def _print(decided: list[PoolDecision], app: Hive, as_json: bool) -> None:
    records = [described(one, None, app.process.clock.wall_ms()) for one in decided]
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    table = Table("agent type", box=None, padding=(0, 2, 0, 0))
    # What comes first is what would be ordered; slots are as many as workers can have.
    for heading in ("workers", "slots then", "wanted", "slots now", "busy", "wait", "reason"):
        table.add_column(heading, justify="right" if heading != "reason" else "left")
    for record in records:
        fields = ("workers", "target", "wanted", "slots", "busy", "backlog", "reason")
        table.add_row(record["agent_type"], *(str(record[name]) for name in fields))
    table_console().print(table)
