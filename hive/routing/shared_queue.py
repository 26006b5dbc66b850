"""The shared queue: no choice at all."""

import random
from collections.abc import Sequence

from hive.routing.candidates import Call, Decision, Pool, Worker, best_pool
from hive.routing.strategy import shared


class SharedQueue:
    """Leaves the call to whoever is free first; pulling balances by itself."""

    name = "shared"

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:  # noqa: ARG002
        """Return the shared queue of the type that fits best."""
        return shared(best_pool(call, pools), self.name, "whoever is free first takes it")

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:  # noqa: ARG002 - one signature for all
        """Return the free slots."""
        return max(worker.slots - worker.busy - worker.queued, 0)
