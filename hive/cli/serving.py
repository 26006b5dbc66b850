"""``hive worker``, ``hive beat`` and ``hive flower``: one part of a hive in the foreground."""

import os
import sys
from functools import partial

import click

from hive.runtime.home import Home
from hive.runtime.loading import DEFAULT_APP, load_app, ready_broker
from hive.runtime.supervision.celery_arguments import beat_arguments, flower_arguments, worker_arguments
from hive.runtime.supervision.flower import flower_environ, login_hint, require_free_port
from hive.runtime.supervision.node_name import NodeName
from hive.runtime.supervision.plan import untyped_queues
from hive.runtime.supervision.processes import Processes
from hive.runtime.supervision.serve import needs_patching, replace_process, serve

#: Options that are not ours go to Celery as they are.
PASSING = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}

app_option = click.option(
    "--app",
    "-A",
    "app_path",
    default=DEFAULT_APP,
    envvar="HIVE_APP",
    show_envvar=True,
    show_default=True,
    metavar="MODULE:ATTRIBUTE",
    help="The application to serve.",
)
loglevel_option = click.option("--loglevel", "-l", default="INFO", show_default=True, help="As for Celery.")
more_argument = click.argument("more", nargs=-1, type=click.UNPROCESSED, metavar="[CELERY OPTIONS]...")


@click.command(context_settings=PASSING, epilog="Example: hive worker code_reviewer --concurrency 4 --pool threads")
@click.argument("agent_type", metavar="TYPE")
@app_option
@click.option("--pool", "-P", help="Celery's name of a pool; the agent type's own if not given.")
@click.option(
    "--concurrency",
    "-c",
    type=int,
    help="Slots, within the type's range; if not given, the application's worker_concurrency, else as many of the range as "
    "demand asks for.",
)
@click.option("--hostname", "-n", help="Node name; TYPE@HOST if not given, TYPE-2@HOST for a second one.")
@click.option("--processes", type=click.IntRange(1), default=1, help="Worker processes, each with these slots.")
@loglevel_option
@more_argument
def worker(
    agent_type: str,
    app_path: str,
    pool: str | None,
    concurrency: int | None,
    hostname: str | None,
    processes: int,
    loglevel: str,
    more: tuple[str, ...],
) -> None:
    """Run one worker of agent type TYPE until it is stopped (SIGTERM or Ctrl-C: warm).

    Starts hive's own broker if no address is set and it does not run; that one stays until `hive down`.
    """
    app = load_app(app_path)
    follows_demand = concurrency is None and not app.conf.worker_concurrency and app.settings.scaling.slots
    if concurrency is None and app.conf.worker_concurrency:
        # What the application configures wins over the type's range; the command line over both.
        more = (f"--concurrency={app.conf.worker_concurrency}", *more)
    build = partial(
        worker_arguments,
        app.agent_types.require(agent_type),
        untyped_queues(app),
        concurrency=concurrency,
        pool=pool,
        follows_demand=follows_demand,
        loglevel=loglevel,
        more=more,
    )
    if processes > 1:
        node, _, host = (hostname or f"{agent_type}@%h").partition("@")
        names = [f"{node}-{number}" for number in range(1, processes + 1)]
        workers = {name: build(hostname=f"{name}@{host or '%h'}") for name in names}
        ready_broker(app)
        click.echo(f"{processes} processes; their logs: {Home(app.settings.home).logs}")
        Processes(app, app_path, workers).run()
        return
    own = None if hostname else NodeName(Home(app.settings.home).prepare(), agent_type)
    arguments = build(hostname=hostname if own is None else own.name)
    ready_broker(app)
    if needs_patching(arguments):
        if own is not None:
            own.keep()
        replace_process(app_path, arguments)
    sys.exit(serve(app, arguments))


@click.command(context_settings=PASSING, epilog="Example: hive beat --loglevel DEBUG")
@app_option
@loglevel_option
@more_argument
def beat(app_path: str, loglevel: str, more: tuple[str, ...]) -> None:
    """Run beat, which sends what is due, until it is stopped.

    Run as many as you like, on as many hosts: one leads, and another takes over within 5 s of its end. `hive schedule`
    shows and changes what is sent.
    """
    app = load_app(app_path)
    ready_broker(app)
    sys.exit(serve(app, beat_arguments(Home(app.settings.home), loglevel=loglevel, more=more)))


@click.command(context_settings=PASSING, epilog="Example: FLOWER_BASIC_AUTH=me:secret hive flower --port 5556")
@app_option
@click.option("--port", type=int, help="TCP port; fleet.flower_port if not given.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@more_argument
def flower(app_path: str, port: int | None, address: str, more: tuple[str, ...]) -> None:
    """Run Flower, which shows workers, tasks and queues, behind a password (FLOWER_BASIC_AUTH or fleet.flower_auth)."""
    app = load_app(app_path)
    environ = flower_environ(app.settings)
    port = port or app.settings.fleet.flower_port
    require_free_port(port, address)
    ready_broker(app)
    click.echo(f"Flower: http://{address}:{port} ({login_hint(app.settings)})")
    os.environ.clear()
    os.environ.update(environ)
    sys.exit(serve(app, flower_arguments(port, address=address, more=more)))
