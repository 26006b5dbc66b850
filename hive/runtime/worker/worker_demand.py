"""What a worker that sizes its own pool goes by: what waits for it on the broker, and what its host has left."""

import math
from dataclasses import dataclass
from typing import Any

from hive.agents.builtin import declared_needs
from hive.resources.host import read_host
from hive.store.store import Store
from hive.transport.channel import Channel

#: Part of a host's memory that a pool leaves free when it grows.
MEMORY_KEPT = 0.1
#: More slots than any pool has.
UNBOUNDED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a worker's queues hold for it, as the broker tells.

    Attributes:
        messages: its part of what waits for all workers, and what waits for it alone.
        oldest_wait_s: how long the oldest has waited.
        override: slots that somebody asked for, of its own; None: nobody.
    """

    messages: int = 0
    oldest_wait_s: float = 0.0
    override: int | None = None


class DemandReader:
    """Asks the broker what waits for a worker.

    Args:
        consumer: Celery's.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._app = consumer, consumer.app
        served = set(self._queues())
        names = [agent.name for agent in self._app.agent_types.values() if agent.queue in served]
        #: The agent type whose queue it serves; its node name where it serves none.
        self.agent_type: str = names[0] if names else consumer.hostname

    def _queues(self) -> tuple[str, ...]:
        return tuple(self._app.amqp.queues.consume_from)

    def read(self) -> Waiting:
        """Return what waits.

        Raises:
            BrokerGoneError: the broker does not answer.
        """
        if not isinstance(self._app.access.channel, Channel):
            # Not our broker: what the worker has reserved is all that is known.
            return Waiting()
        store: Store = self._app.access.store
        demands = store.demand(self._queues())
        workers = max([1, *(one.consumers for one in demands)])
        in_lanes, asked = store.own_demand(self._queues(), self._consumer.hostname, self.agent_type)
        return Waiting(
            messages=math.ceil(sum(one.waiting for one in demands) / workers) + in_lanes,
            oldest_wait_s=max((one.oldest_wait_s for one in demands), default=0.0),
            override=None if asked is None else math.ceil(asked / workers),
        )


class Room:
    """Says how many children a prefork pool may have, by what its host, or container, has left.

    Args:
        app: the application.
        agent_type: whose declared needs count for each slot, else ``scaling.slot_memory_mb``.
    """

    def __init__(self, app: Any, agent_type: str) -> None:
        agent = app.agent_types.get(agent_type)
        needs = None if agent is None else declared_needs(agent)
        self._home = app.settings.home
        self._slot_mb = app.settings.scaling.slot_memory_mb if needs is None else needs.memory_mb
        self._slot_cores = needs.cores if needs is not None and "cores" in needs.model_fields_set else 0.0

    def __call__(self, slots: int) -> int:
        """Return how many children there may be, of which there are ``slots`` now."""
        host = read_host(self._home)
        free_mb = max(host.memory_available_mb - host.memory_mb * MEMORY_KEPT, 0.0)
        room = slots + (int(free_mb / self._slot_mb) if self._slot_mb else UNBOUNDED)
        return min(room, int(host.cores / self._slot_cores)) if self._slot_cores else room


def unbounded(slots: int) -> None:
    """Return that nothing bounds the slots: those of one process share its memory."""
