"""Performance: more for those who finish more."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from hive.routing.candidates import UNKNOWN_RATE, Call, Decision, Pool, Worker, best_pool
from hive.routing.strategy import shared


class Performance:
    """Gives workers calls in proportion to the work they finish in a second of work, discounted by failures.

    Args:
        explore: share of the calls that go to any worker, so that nobody starves and who has become better is found out.

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """

    name = "performance"

    def __init__(self, explore: float = 0.1) -> None:
        if not 0 < explore <= 1:
            raise ValueError(f"explore ({explore:g}) is a share above 0, 1 at most: without it somebody would starve")
        self.explore = explore

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:  # noqa: ARG002
        """Return a worker drawn by its weight, or now and then any."""
        pool = best_pool(call, pools)
        workers = pool.workers
        if not workers:
            return shared(pool, self.name)
        if pool.worth is None:
            pool.worth = list(accumulate(_weights(workers)))
        total = pool.worth[-1]
        if total <= 0 or rng.random() < self.explore:
            worker, reason = workers[int(rng.random() * len(workers))], "explored"
        else:
            # Rounding may lead to the total itself, past the last.
            place = min(bisect_right(pool.worth, rng.random() * total), len(workers) - 1)
            worker, reason = workers[place], "drawn by what it finishes"
        return Decision(agent_type=pool.name, worker=worker.name, strategy=self.name, reason=reason)

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:  # noqa: ARG002 - one signature for all
        """Return the share of calls the worker is given, 0..1."""
        weights = _weights(pool.workers)
        place = next(place for place, one in enumerate(pool.workers) if one.name == worker.name)
        total = sum(weights)
        even = 1 / len(weights)
        return even if total <= 0 else self.explore * even + (1 - self.explore) * weights[place] / total


def _weights(workers: Sequence[Worker]) -> list[float]:
    """Return what each finishes in a second of work, without what fails. Who is new counts as the mean of the others."""
    known = [worker.rate for worker in workers if worker.rate is not None]
    mean = sum(known) / len(known) if known else UNKNOWN_RATE
    return [
        (mean if worker.rate is None else worker.rate) * worker.slots * (1 - worker.failed_share) for worker in workers
    ]
