"""Affinity: the same key to the same worker."""

import hashlib
import random
from collections.abc import Sequence

from hive.routing.candidates import Call, Decision, Pool, Worker, best_pool
from hive.routing.least_loaded import LeastLoaded
from hive.routing.strategy import shared

#: A prime and a factor below it: XOR and multiplication modulo a prime mix well, and cost as little as Python can.
_PRIME, _FACTOR = (1 << 61) - 1, 0x1E3779B97F4A7C15


class Affinity:
    """Sends a key to the worker that comes first in the key's own order of all workers (rendezvous hashing).

    When a worker comes or goes, only its own keys move. A worker that has far more to do than the others is passed over
    for the next in the key's order, so that one busy key, or one slow worker, does not hold up the rest.

    Args:
        spill_over: tasks for each slot above the mean load of the pool, from which on a worker is passed over.

    Raises:
        ValueError: ``spill_over`` is not positive.
    """

    name = "affinity"

    def __init__(self, spill_over: float = 4.0) -> None:
        if spill_over <= 0:
            raise ValueError(f"spill_over ({spill_over:g} tasks for each slot) must be positive")
        self.spill_over = spill_over

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:
        """Return the worker of the call's key; a call without one goes to the less loaded of two."""
        if call.affinity is None:
            return LeastLoaded().choose(call, pools, now_s, rng)
        pool = best_pool(call, pools)
        if not pool.workers:
            return shared(pool, self.name)
        key = hash_of(call.affinity)
        weights = [(key ^ seed) * _FACTOR % _PRIME for seed in pool.seeds]
        worker, reason = pool.workers[weights.index(max(weights))], "first in the order of its key"
        if worker.load > self.spill_over and worker.load > (most := self._most(pool.workers)):
            ordered = sorted(pool.workers, key=lambda one: weight(key, one.seed), reverse=True)
            # Not all can be above the mean.
            worker = next(one for one in ordered if one.load <= most)
            reason = "next in the order of its key: those before it have too much to do"
        return Decision(agent_type=pool.name, worker=worker.name, strategy=self.name, reason=reason)

    def _most(self, workers: Sequence[Worker]) -> float:
        return sum(one.load for one in workers) / len(workers) + self.spill_over

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:  # noqa: ARG002 - one signature for all
        """Return the worker's weight for the key, 0..1; without a key, its load, negative."""
        if call.affinity is None:
            return -worker.load
        return weight(hash_of(call.affinity), worker.seed) / _PRIME


def hash_of(key: str) -> int:
    """Return 64 bits of a key, the same in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def weight(key: int, seed: int) -> int:
    """Return the weight of a worker for a key: as good as random, and the same in every process."""
    return (key ^ seed) * _FACTOR % _PRIME
