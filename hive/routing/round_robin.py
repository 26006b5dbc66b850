"""Round robin: one after the other."""

import random
from collections.abc import Sequence

from hive.routing.candidates import Call, Decision, Pool, Worker, best_pool
from hive.routing.strategy import shared


class RoundRobin:
    """Gives each worker as many calls, whatever it is and does.

    Warning:
        A slow worker gets as many tasks as a fast one, and its lane grows until others steal from it.
    """

    name = "round_robin"

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:  # noqa: ARG002
        """Return the worker whose turn it is by the number of the call."""
        pool = best_pool(call, pools)
        if not pool.workers:
            return shared(pool, self.name)
        worker = pool.workers[call.number % len(pool.workers)]
        return Decision(agent_type=pool.name, worker=worker.name, strategy=self.name, reason="its turn")

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:
        """Return 0 for whose turn it is, -1 for the next one, and so on."""
        place = next(place for place, one in enumerate(pool.workers) if one.name == worker.name)
        return -float((place - call.number) % len(pool.workers))
