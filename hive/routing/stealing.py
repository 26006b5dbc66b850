"""From which lane idle workers steal, and what it keeps to itself."""

from collections.abc import Mapping, Sequence

from hive.routing.candidates import Worker

#: Utilisation of a pool's slots from which on its workers' lanes keep as much as they may.
FULL = 0.8


def longest_lane(waiting: Mapping[str, int], workers: Sequence[Worker], keep_per_slot: float) -> tuple[str, int] | None:
    """Return the lane that is furthest above what it keeps, by its worker, and what it keeps; None: none is above it.

    Args:
        waiting: messages in the lanes that may be stolen from, by worker.
        workers: all of the pool, as they report.
        keep_per_slot: messages a lane keeps for each slot of its worker in a full pool.
    """
    kept = keep_per_slot * kept_share(workers)
    found, most = None, 0
    for one in workers:
        bound = max(round(kept * one.slots), 1)
        if waiting.get(one.name, 0) - bound > most:
            found, most = (one.name, bound), waiting[one.name] - bound
    return found


def kept_share(workers: Sequence[Worker]) -> float:
    """Return which share of what lanes keep in a full pool they keep now, 0..1.

    A stolen call takes longer where its key is not known. In an idle pool that costs nobody anything; the fuller it is,
    the longer others wait for it (as in :class:`~hive.routing.affinity.Affinity`).
    """
    slots = sum(one.slots for one in workers)
    utilisation = sum(min(one.busy, one.slots) for one in workers) / slots if slots else 0.0
    return (1 - FULL) / (1 - min(utilisation, FULL))
