"""Affinity: the same key to the same worker."""

import random
import zlib
from collections.abc import Iterator, Sequence

from hive.routing.candidates import Call, Decision, Pool, Worker, best_pool
from hive.routing.least_loaded import LeastLoaded
from hive.routing.strategy import shared

#: Keys are gathered in so many buckets, so that an order of workers is found once, not for each call.
BUCKETS = 8192

#: Workers of an order that are kept; those behind are looked for when all before have too much to do.
KEPT = 4

#: A prime and two factors: XOR and multiplication modulo a prime mix well.
_PRIME, _FACTOR, _SPREAD = (1 << 61) - 1, 0x1E3779B97F4A7C15, 0x16E8FEB86659FD93


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
        bucket = bucket_of(call.affinity)
        places = pool.homes.get(bucket)
        if places is None:
            places = pool.homes[bucket] = order_of(bucket, pool)[:KEPT]
        worker, reason = pool.workers[places[0]], "first in the order of its key"
        if worker.load > self.spill_over and worker.load > (most := pool.mean_load + self.spill_over):
            # Not all can be above the mean.
            fitting = (pool.workers[place] for place in _in_order(bucket, places, pool))
            worker = next(one for one in fitting if one.load <= most)
            reason = "next in the order of its key: those before it have too much to do"
        return Decision(agent_type=pool.name, worker=worker.name, strategy=self.name, reason=reason)

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:  # noqa: ARG002 - one signature for all
        """Return the worker's weight for the key, 0..1; without a key, its load, negative."""
        if call.affinity is None:
            return -worker.load
        return weight(bucket_of(call.affinity), worker.seed) / _PRIME


def bucket_of(key: str) -> int:
    """Return the bucket of a key, the same in every process; all keys of a bucket have the same order of workers."""
    return zlib.crc32(key.encode()) % BUCKETS


def order_of(bucket: int, pool: Pool) -> tuple[int, ...]:
    """Return the places of a pool's workers in the order of a bucket."""
    weights = [weight(bucket, one.seed) for one in pool.workers]
    return tuple(sorted(range(len(weights)), key=weights.__getitem__, reverse=True))


def _in_order(bucket: int, known: Sequence[int], pool: Pool) -> Iterator[int]:
    yield from known
    yield from order_of(bucket, pool)[len(known) :]


def weight(bucket: int, seed: int) -> int:
    """Return the weight of a worker for a bucket: as good as random, and the same in every process."""
    return ((bucket * _SPREAD) ^ seed) * _FACTOR % _PRIME
