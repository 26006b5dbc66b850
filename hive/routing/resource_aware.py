"""Resource aware: where the host has room."""

import random
from collections.abc import Sequence

from hive.agents.types import Resources
from hive.routing.candidates import Call, Decision, Pool, Worker, best_pool
from hive.routing.strategy import shared, two_choices

#: A host above this utilisation of processors or memory is given nothing more.
FULL = 0.95


class ResourceAware:
    """Takes, of two random workers whose hosts have room for the call, the one under less pressure.

    Pressure is that of the scarcest resource: processors, memory once the call is there, slots.
    """

    name = "resource_aware"

    def choose(self, call: Call, pools: Sequence[Pool], now_s: float, rng: random.Random) -> Decision:  # noqa: ARG002
        """Return a worker with room; the shared queue if no host has any."""
        pool = best_pool(call, pools)
        if not pool.workers:
            return shared(pool, self.name)
        one, other = two_choices(pool.workers, rng)
        if not (has_room(one, call.needs) and has_room(other, call.needs)):
            fitting = [worker for worker in pool.workers if has_room(worker, call.needs)]
            if not fitting:
                return shared(pool, self.name, "no host has room: whoever is free first takes it")
            one, other = two_choices(fitting, rng)
        worker = one if pressure(one, call.needs) <= pressure(other, call.needs) else other
        return Decision(
            agent_type=pool.name, worker=worker.name, strategy=self.name, reason="less pressure of two with room"
        )

    def score(self, call: Call, pool: Pool, worker: Worker) -> float:  # noqa: ARG002 - one signature for all
        """Return the pressure, negative; without room it is as low as can be."""
        return -pressure(worker, call.needs) if has_room(worker, call.needs) else float("-inf")


def has_room(worker: Worker, needs: Resources | None) -> bool:
    """Whether a worker's host has what a call needs; without needs, whether it is not full."""
    if worker.cpu > FULL or worker.memory > FULL:
        return False
    return needs is None or needs.memory_mb <= worker.free_memory_mb


def pressure(worker: Worker, needs: Resources | None) -> float:
    """Return how scarce the scarcest resource of a worker is once a call is there, 0..1."""
    memory = worker.memory
    if needs is not None and worker.free_memory_mb > 0:
        memory = min(memory + needs.memory_mb / worker.free_memory_mb * (1 - memory), 1.0)
    return max(worker.cpu, memory, worker.load / (1 + worker.load))
