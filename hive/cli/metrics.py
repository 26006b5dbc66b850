"""``hive metrics``: the figures of all queues, for Prometheus and for people in a hurry."""

import click

from hive.cli.queue import chosen, queues_given, reached
from hive.cli.serving import app_option
from hive.monitoring.prometheus import exposition


@click.command(epilog="Example: hive metrics | grep oldest_age")
@queues_given
@app_option
def metrics(queues: tuple[str, ...], app_path: str) -> None:
    """Print the figures of the queues as Prometheus text; the setting worker.metrics_port serves them from workers."""
    app, store = reached(app_path)
    click.echo(exposition(store, chosen(app, queues)), nl=False)
