"""An application whose workers die as they begin to serve."""

from typing import Any

from celery.signals import celeryd_after_setup

from hive import Hive
from hive.agents import BUILTIN, FALLBACK, Registry

app = Hive("broken", agent_types=Registry(agent for agent in BUILTIN if agent.name == FALLBACK))


@celeryd_after_setup.connect
def die(**_: Any) -> None:
    """End the worker with an exit code of its own."""
    raise SystemExit(7)
