"""The strategies by name."""

from types import MappingProxyType

from hive.errors import SettingsError, suggestion
from hive.routing.affinity import Affinity
from hive.routing.capability import Capability
from hive.routing.hybrid import Hybrid
from hive.routing.least_loaded import LeastLoaded
from hive.routing.performance import Performance
from hive.routing.resource_aware import ResourceAware
from hive.routing.round_robin import RoundRobin
from hive.routing.shared_queue import SharedQueue
from hive.routing.strategy import Strategy

STRATEGIES = MappingProxyType(
    {
        one.name: one
        for one in (SharedQueue, RoundRobin, LeastLoaded, ResourceAware, Capability, Performance, Hybrid, Affinity)
    }
)


def strategy_of(declared: Strategy | str) -> Strategy:
    """Return the strategy that a task or a type declares: one itself, or its name.

    Raises:
        SettingsError: there is none of that name, or it is no strategy.
    """
    if isinstance(declared, str):
        if declared not in STRATEGIES:
            raise SettingsError(f"there is no routing strategy {declared!r}{suggestion(declared, STRATEGIES)}")
        made: Strategy = STRATEGIES[declared]()
        return made
    if not isinstance(declared, Strategy):
        raise SettingsError(f"routing={declared!r} is neither a strategy nor the name of one: {', '.join(STRATEGIES)}")
    return declared
