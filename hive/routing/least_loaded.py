"""Least loaded: the better of two random choices."""

import random
from collections.abc import Sequence

from hive.routing.candidates import Call, Decision, Pool, Worker, best_pool
from hive.routing.strategy import shared, two_choices


class LeastLoaded:
    """Takes two workers at random, and of them the one with fewer tasks for each slot.

    Figures are a second old: if everybody took the least loaded of all, each burst would go to one worker.
    """

    name = "least_loaded"

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:  # noqa: ARG002
        """Return the less loaded of two."""
        pool = best_pool(call, pools)
        if not pool.workers:
            return shared(pool, self.name)
        one, other = two_choices(pool.workers, rng)
        worker = one if one.load <= other.load else other
        return Decision(agent_type=pool.name, worker=worker.name, strategy=self.name, reason="less loaded of two")

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:  # noqa: ARG002 - one signature for all
        """Return the load, negative."""
        return -worker.load
