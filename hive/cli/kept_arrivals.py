"""What came for an agent type of a running hive, as its scaler has kept it on the broker."""

import json
import re

import click

from hive.cli.queue import reached
from hive.errors import InputError
from hive.learning.series import Series

UNITS_MIN = {"m": 1, "h": 60, "d": 1440}


def kept_arrivals(app_path: str, agent_type: str, since: str) -> tuple[Series, float | None]:
    """Return arrivals by the minute, and the service time in seconds that the scaler has seen last; None: none yet.

    Args:
        app_path: the application.
        agent_type: its name.
        since: how far back, such as ``90m``.

    Raises:
        InputError: ``since`` cannot be read, or nothing was kept.
        UnknownAgentTypeError: nobody declared the type.
    """
    spelled = re.fullmatch(r"(\d+)([mhd])", since)
    if spelled is None:
        raise InputError(f"--since {since!r} is no length of time: write 90m, 12h or 7d")
    app, store = reached(app_path)
    app.agent_types.require(agent_type)
    now = app.process.clock.wall_ms() // 60_000
    kept = store.arrivals(agent_type, now - int(spelled[1]) * UNITS_MIN[spelled[2]])
    if len(kept) < 2:
        raise InputError(
            f"there are {len(kept)} minutes of {agent_type}: they are kept while `hive autoscale` runs, or `hive up` with "
            f"agents.{agent_type}.workers.maximum above 1"
        )
    minutes = range(min(kept), max(kept) + 1)
    if unknown_count := len(minutes) - len(kept):
        click.echo(
            f"hive: in {unknown_count} of {len(minutes)} minutes nobody counted; they are taken for empty", err=True
        )
    series = Series(name=agent_type, values=tuple(float(kept.get(minute, 0)) for minute in minutes), step_s=60.0)
    written = store.scaling_sizes().get(agent_type)
    return series, None if written is None else json.loads(written)["service_s"]
