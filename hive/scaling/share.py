"""Dividing what a fleet may use between its agent types: a pure function.

Each gets its minimum, whatever that costs. What is left goes out worker by worker to the type of whose wish the smallest
part is granted (D'Hondt's method of dividing seats), so that all get about the same part of what they want. A worker that
does not fit is passed over: a type whose workers are small may get what a large one's would not fit into.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What all workers of a fleet may need together.

    Attributes:
        memory_mb: megabytes; None: not bounded.
        cores: processor cores; None: not bounded.
    """

    memory_mb: float | None = None
    cores: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one agent type wants.

    Attributes:
        agent_type: its name.
        minimum: workers it has in any case.
        wanted: workers its demand asks for.
        memory_mb: megabytes that each of them needs.
        cores: that each of them needs.
    """

    agent_type: str
    minimum: int
    wanted: int
    memory_mb: float = 0.0
    cores: float = 0.0


def share(budget: Budget, wishes: Iterable[Wish]) -> dict[str, int]:
    """Return how many workers each agent type may have: at least its minimum, else at most what it wants.

    All workers together keep to the budget unless the minima alone exceed it. The order of the wishes does not matter.
    """
    asking = sorted(wishes, key=lambda wish: wish.agent_type)
    granted = {wish.agent_type: wish.minimum for wish in asking}
    memory_left = _left(budget.memory_mb, sum(wish.minimum * wish.memory_mb for wish in asking))
    cores_left = _left(budget.cores, sum(wish.minimum * wish.cores for wish in asking))
    heap = [(_granted_part(wish, wish.minimum), wish.agent_type, wish) for wish in asking if wish.minimum < wish.wanted]
    heapq.heapify(heap)
    while heap:
        _, name, wish = heapq.heappop(heap)
        if wish.memory_mb > memory_left or wish.cores > cores_left:
            continue
        memory_left, cores_left = memory_left - wish.memory_mb, cores_left - wish.cores
        granted[name] += 1
        if granted[name] < wish.wanted:
            heapq.heappush(heap, (_granted_part(wish, granted[name]), name, wish))
    return granted


def _left(budget: float | None, used: float) -> float:
    return float("inf") if budget is None else budget - used


def _granted_part(wish: Wish, granted: int) -> float:
    """Return the part of the wish that one more worker would grant."""
    return (granted + 1) / wish.wanted
