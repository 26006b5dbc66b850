"""Which of several ranked lists' members come first."""

from collections import defaultdict
from collections.abc import Sequence

#: Damps the first ranks, so that no list alone decides (Cormack, Clarke, Büttcher, "Reciprocal rank fusion", 2009).
DAMPING = 60


def fused(lists: Sequence[Sequence[int]], limit: int) -> list[int]:
    """Return the ids that stand high in many lists, best first; of equals the one that the first list puts higher.

    Args:
        lists: ids, best first in each.
        limit: how many are returned at most.
    """
    points: dict[int, float] = defaultdict(float)
    for ranked in lists:
        for rank, id_ in enumerate(ranked):
            points[id_] += 1 / (DAMPING + rank)
    first = {id_: rank for rank, id_ in enumerate(lists[0])} if lists else {}
    return sorted(points, key=lambda id_: (-points[id_], first.get(id_, len(first)), -id_))[:limit]
