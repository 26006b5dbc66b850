"""Hybrid: the strategy that fits the call."""

import random
from collections.abc import Sequence

from hive.routing.affinity import Affinity
from hive.routing.candidates import Call, Decision, Pool, Worker
from hive.routing.capability import Capability
from hive.routing.resource_aware import ResourceAware, has_room
from hive.routing.shared_queue import SharedQueue
from hive.routing.strategy import Strategy


class Hybrid:
    """Pushes only what pulling cannot balance, and says which strategy it took.

    A key: affinity. A kind that several types can do: capability. Needs that some hosts have no room for: resource aware.
    Else the shared queue: a worker that is free knows so now, a snapshot of a second ago does not.

    Args:
        miss_cost: of :class:`~hive.routing.affinity.Affinity`, for calls with a key.
    """

    name = "hybrid"

    def __init__(self, miss_cost: float = 0.25) -> None:
        self._affinity, self._capability = Affinity(miss_cost), Capability()
        self._resources, self._shared = ResourceAware(), SharedQueue()
        parts: tuple[Strategy, ...] = (self._affinity, self._capability, self._resources, self._shared)
        for part in parts:
            part.name = f"{self.name}: {part.name}"

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:
        """Return what the strategy that fits the call decides, under its name."""
        return self.chosen(call, pools).choose(call, pools, now_s, rng)

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:
        """Return the score of the strategy that fits the call."""
        return self.chosen(call, (pool,)).score(call, pool, worker)

    def chosen(self, call: Call, pools: Sequence[Pool]) -> Strategy:
        """Return the strategy that fits a call."""
        if call.affinity is not None:
            return self._affinity
        if call.kind is not None and len(pools) > 1:
            return self._capability
        if call.needs is not None and not all(has_room(one, call.needs) for pool in pools for one in pool.workers):
            return self._resources
        return self._shared
