"""The part of ``hive up`` that decides how many worker processes each agent type has, and asks the supervisor for them."""

import signal
import threading
from collections.abc import Callable, Sequence

from hive.agents.types import AgentType, Concurrency
from hive.runtime.app import Hive
from hive.runtime.supervision.actuators import OwnProcesses
from hive.runtime.supervision.celery_arguments import slots_within
from hive.runtime.supervision.fleet_scaler import FleetScaler
from hive.runtime.supervision.plan import least_workers


def serve_scaler(app: Hive, arguments: Sequence[str], pipe: int, on_ready: Callable[[], None]) -> int:
    """Scale until SIGTERM or SIGINT; returns the exit code.

    Args:
        app: the application.
        arguments: ``autoscale``, the slots that each worker keeps (0: they follow demand), and the agent types.
        pipe: to the supervisor.
        on_ready: called once it looks.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: stopped.set())
    agents = [_kept(app.agent_types.require(name), int(arguments[1])) for name in arguments[2:]]
    app.log.setup(loglevel="INFO")
    actuator = OwnProcesses(pipe, {agent.name: agent.workers.minimum for agent in agents})
    scaler = FleetScaler(app, agents, actuator)
    on_ready()
    scaler.run(stopped)
    return 0


def _kept(agent: AgentType, slots: int) -> AgentType:
    """Return the type with the bounds that hold here."""
    own = slots_within(agent, slots)
    concurrency = Concurrency(minimum=own, maximum=own) if slots else agent.concurrency
    bounds = Concurrency(minimum=least_workers(agent), maximum=max(least_workers(agent), agent.workers.maximum))
    return agent.model_copy(update={"workers": bounds, "concurrency": concurrency})
