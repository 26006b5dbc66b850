"""Capability: who does this kind of task well."""

import random
from collections.abc import Sequence

from hive.routing.candidates import Call, Decision, Pool, Worker, best_pool
from hive.routing.strategy import shared, two_choices


class Capability:
    """Weighs how well agent types and workers do a call's kind and domains against how much they have to do.

    Of each pool whose type can do the kind at all, two random workers are looked at.
    """

    name = "capability"

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:  # noqa: ARG002
        """Return the best worker of those looked at; without any, the shared queue of the type that fits best."""
        best, chosen, chosen_pool = 0.0, None, None
        for pool in pools:
            match = pool.match(call)
            if match <= best or not pool.workers:
                continue
            one, other = two_choices(pool.workers, rng)
            value, other_value = match * _fitness(one), match * _fitness(other)
            worker = one
            if other_value > value:
                value, worker = other_value, other
            if value > best:
                best, chosen, chosen_pool = value, worker, pool
        if chosen is None or chosen_pool is None:
            return shared(best_pool(call, pools), self.name)
        return Decision(
            agent_type=chosen_pool.name, worker=chosen.name, strategy=self.name, reason="able, and with little to do"
        )

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:
        """Return proficiency of the type times success of the worker, less for what it has to do; 0..1."""
        return pool.match(call) * _fitness(worker)


def _fitness(worker: Worker) -> float:
    """Return how much of its type's proficiency a worker brings at present: its success, halved by a full load."""
    return (1 - worker.failed_share) / (1 + worker.load)
