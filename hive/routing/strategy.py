"""What every strategy is: a value that decides by the call, the workers, the time and a source of chance."""

import random
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from hive.routing.candidates import Call, Decision, Pool, Worker


@runtime_checkable
class Strategy(Protocol):
    """Chooses the pool, and the worker or its shared queue, for a call.

    It keeps no state: the same arguments, with the same state of ``rng``, give the same decision.
    """

    name: str

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:
        """Return where a call goes.

        Args:
            call: the call.
            pools: where it may go, one at least; a pool without workers has none whose description is fresh.
            now_s: monotonic seconds.
            rng: chance.
        """

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:
        """Return how much the strategy likes a worker for a call; more is better. For explanations."""


def two_choices(workers: Sequence[Worker], rng: random.Random) -> tuple[Worker, Worker]:
    """Return two workers at random, the same one only if there is no other.

    Whoever takes the better of two does nearly as well as one who looks at all, and many who look at the same old
    figures do not all run to the same worker.
    """
    count = len(workers)
    if count == 1:
        return workers[0], workers[0]
    first = int(rng.random() * count)
    second = int(rng.random() * (count - 1))
    return workers[first], workers[second + (second >= first)]


def shared(
    pool: Pool, strategy: str, reason: str = "no fresh load of its workers: whoever is free takes it"
) -> Decision:
    """Return the decision for a pool's shared queue."""
    return Decision(agent_type=pool.name, worker=None, strategy=strategy, reason=reason)
