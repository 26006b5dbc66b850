"""Affinity: the same key to the same worker."""

import random
from collections.abc import Sequence

from hive.routing.candidates import Call, Decision, Pool, Worker, best_pool
from hive.routing.keys import bucket_of, weight
from hive.routing.least_loaded import LeastLoaded
from hive.routing.strategy import shared

#: Workers a key may begin with: the first ones in its own order of all workers (rendezvous hashing).
CHOICES = 4

#: Orders of the workers there are for all buckets together, so that one is seldom looked for anew.
ORDERS = 256

#: Utilisation above which a pool counts as no fuller: what a miss costs others would have no bound.
FULLEST = 0.95


class Affinity:
    """Sends a key to the worker that had it lately, unless waiting there costs more than beginning elsewhere.

    A key that no worker has had lately begins with the least loaded of the first four in its own order of all workers,
    which all callers find alike. From then on it stays, until the wait there exceeds that at the best of those four by
    what a miss costs: ``miss_cost``, and as much again for those who wait behind it, the fuller the pool the more
    (``miss_cost / (1 - utilisation)``). Then it has two homes, and goes to the one with the shorter wait.

    Waits are counted in tasks: what is ahead for each slot. Calls with the same key that this process has sent since the last
    look at the workers do not count: an agent that calls again and again has had the answers to those before.

    Args:
        miss_cost: what a task takes longer on a worker that does not know its key, in times of the mean task. 0.25 is a
            prompt without its cached prefix; a checkout of a large repository may be 3.

    Raises:
        ValueError: ``miss_cost`` is negative.

    Warning:
        A slow worker is left only when more is ahead there; what waits in its lane is stolen by those that are idle.
    """

    name = "affinity"

    def __init__(self, miss_cost: float = 0.25) -> None:
        if miss_cost < 0:
            raise ValueError(f"miss_cost ({miss_cost:g} times the mean task) must not be negative")
        self.miss_cost = miss_cost

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:
        """Return the worker of the call's key; a call without one goes to the less loaded of two."""
        if call.affinity is None:
            return LeastLoaded().choose(call, pools, now_s, rng)
        pool = best_pool(call, pools)
        if not pool.workers:
            return shared(pool, self.name)
        bucket = bucket_of(call.affinity)
        home = min(pool.homes(bucket), key=_load, default=None)
        if home is not None and (wait := _wait(home, pool.sent(bucket, home.name))) <= self._miss(pool, home):
            worker, reason = home, "has had its key lately"
        else:
            worker = min((pool.workers[place] for place in _first(bucket, pool)), key=_load)
            reason = "no worker has had its key lately: the least loaded of the first in its order"
            if home is not None and wait - _wait(worker) <= self._miss(pool, home):
                worker, reason = home, "has had its key lately, and elsewhere there is a wait, too"
            elif home is not None:
                reason = f"to wait at {home.name}, which has had its key, costs more than a miss"
        return Decision(agent_type=pool.name, worker=worker.name, strategy=self.name, reason=reason)

    def _miss(self, pool: Pool, home: Worker) -> float:
        """Return the wait at a home that is worth it: one call may always wait there, figures are a second old."""
        return max(self.miss_cost / (1 - min(pool.utilisation, FULLEST)), 1 / max(home.slots, 1))

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:
        """Return the wait in tasks for each slot, negative, with what a miss costs where the key is not known."""
        if call.affinity is None:
            return -worker.load
        is_home = worker in pool.homes(bucket_of(call.affinity))
        return -_wait(worker) - (0.0 if is_home else self._miss(pool, worker))


def _load(worker: Worker) -> float:
    return worker.load


def _wait(worker: Worker, ended: int = 0) -> float:
    """Return what is ahead of one more task on a worker, in tasks for each slot; 0: a slot is free.

    Args:
        worker: where it would wait.
        ended: tasks sent there that may have ended by now.
    """
    return max(worker.load + (1 - ended) / max(worker.slots, 1) - 1, 0.0)


def _first(bucket: int, pool: Pool) -> tuple[int, ...]:
    """Return the places of the workers a key may begin with, in its order."""
    number = bucket % ORDERS
    places = pool.orders.get(number)
    if places is None:
        weights = [weight(number, one.seed) for one in pool.workers]
        places = tuple(sorted(range(len(weights)), key=weights.__getitem__, reverse=True)[:CHOICES])
        pool.orders[number] = places
    return places
