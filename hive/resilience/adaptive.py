"""Learning when to retry from what became of earlier retries.

Time since the first failure is cut into bins that double: at once, half a second, one, two, four seconds. A *cell* (i, j)
holds how many retries that were decided in bin ``i`` and made in bin ``j`` were done, and how many failed again. Choosing
is a short plan over the cells: what does it cost, in seconds, to wait for bin ``j``, with the chance seen there, and if
that fails, to go on from there as well as can be? A failed attempt costs a stated number of seconds besides.

The chances are drawn from what the counts leave possible (Thompson sampling), so that a time about which little is known
is tried now and then, and one that is known to be useless hardly ever. Counts are halved when a cell is full: what has
changed is learned anew.

Not to be expected: learning from an outage that hits all tasks at once how long the next one will last.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from hive.resilience.failure import Cell

#: Start of each bin in seconds.
BINS_S = (0.0, *(0.5 * 2**power for power in range(15)))

#: Outcomes after which the counts of a cell are halved.
CELL_FULL = 64

#: Outcomes that stand for what is believed before anything was seen.
PRIOR_WEIGHT = 2.0

#: Outcomes of retries of one task and cause before it may be taken for hopeless, and the chance below which it is.
HOPELESS_AFTER, HOPELESS_BELOW = 20, 0.03


@dataclass(slots=True)
class Outcomes:
    """What became of the retries of one task after one cause.

    Attributes:
        cells: retries that were done, and that failed again, for each cell.
    """

    cells: dict[Cell, tuple[float, float]] = field(default_factory=dict)

    def add(self, cell: Cell, *, done: bool) -> None:
        """Count one outcome."""
        good, bad = self.cells.get(cell, (0.0, 0.0))
        if good + bad >= CELL_FULL:
            good, bad = good / 2, bad / 2
        self.cells[cell] = (good + done, bad + (not done))

    @property
    def total(self) -> tuple[float, float]:
        """Retries that were done and that failed again, of all cells together."""
        return sum(good for good, _ in self.cells.values()), sum(bad for _, bad in self.cells.values())

    @classmethod
    def of(cls, counts: Mapping[str, float]) -> "Outcomes":
        """Build it from what the broker keeps: ``i:j:done`` and ``i:j:failed`` with their counts."""
        cells: dict[Cell, tuple[float, float]] = {}
        for name, count in counts.items():
            before, planned, how = name.split(":")
            cell = int(before), int(planned)
            good, bad = cells.get(cell, (0.0, 0.0))
            cells[cell] = (good + count, bad) if how == "done" else (good, bad + count)
        return cls(cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """When to retry.

    Attributes:
        delay_s: seconds from now.
        cell: whose outcome this retry will tell.
        why: the grounds, with their figures.
    """

    delay_s: float
    cell: Cell
    why: str


def bin_of(elapsed_s: float) -> int:
    """Return the bin that a time since the first failure lies in."""
    return max(place for place, start_s in enumerate(BINS_S) if start_s <= max(elapsed_s, 0.0))


def is_hopeless(outcomes: Outcomes, random: Random) -> bool:
    """Whether retries of a task after this cause practically never helped; says no now and then, to see if they do."""
    good, bad = outcomes.total
    return good + bad >= HOPELESS_AFTER and random.betavariate(1 + good, 1 + bad) < HOPELESS_BELOW


def choose(outcomes: Outcomes, elapsed_s: float, cap_s: float, attempt_cost_s: float, random: Random) -> Choice:
    """Choose when to retry.

    Args:
        outcomes: of the task and the cause.
        elapsed_s: since the first failure.
        cap_s: longest wait.
        attempt_cost_s: seconds of waiting that one failed attempt is worth.
        random: draws the chances, and the place within the chosen bin.
    """
    now = bin_of(elapsed_s)
    chance = _drawn(outcomes, random)
    cost = [0.0] * len(BINS_S)
    best = now
    for here in range(len(BINS_S) - 1, now - 1, -1):
        start_s = elapsed_s if here == now else BINS_S[here]
        cost[here], best = _cheapest(here, start_s, cost, cap_s, attempt_cost_s, chance)
    wait_s = max(BINS_S[best] - elapsed_s, 0.0)
    return Choice(delay_s=min(wait_s, cap_s), cell=(now, best), why=_grounds(outcomes, now, best))


def _cheapest(
    here: int,
    start_s: float,
    cost: list[float],
    cap_s: float,
    attempt_cost_s: float,
    chance: Callable[[int, int], float],
) -> tuple[float, int]:
    """Return the cost in seconds of the best wait from a bin, and the bin it leads to; later bins are known."""
    best_s, best = float("inf"), here
    for there in range(here, len(BINS_S)):
        wait_s = max(BINS_S[there] - start_s, 0.0)
        if wait_s > cap_s and there > here:
            break
        likely = chance(here, there)
        if there == here:
            # What fails at once is tried at once again: the sum of that series.
            total_s = (1 - likely) * attempt_cost_s / likely
        else:
            total_s = wait_s + (1 - likely) * (attempt_cost_s + cost[there])
        if total_s < best_s:
            best_s, best = total_s, there
    return best_s, best


def _drawn(outcomes: Outcomes, random: Random) -> Callable[[int, int], float]:
    def chance(here: int, there: int) -> float:
        good, bad = outcomes.cells.get((here, there), (0.0, 0.0))
        believed = _believed(here, there)
        return max(random.betavariate(good + PRIOR_WEIGHT * believed, bad + PRIOR_WEIGHT * (1 - believed)), 1e-6)

    return chance


def _believed(here: int, there: int) -> float:
    """Return the chance before anything was seen: what has lasted for a time is over after as long again in half of all cases."""
    if there == here:
        return 0.25
    return 1 - 0.5 ** (there - here)


def _grounds(outcomes: Outcomes, now: int, chosen: int) -> str:
    good, bad = outcomes.cells.get((now, chosen), (0.0, 0.0))
    seen = f"{good:.0f} of {good + bad:.0f} retries made then were done" if good + bad else "nothing seen there yet"
    others = [outcomes.cells[now, there] for there in range(now, chosen) if (now, there) in outcomes.cells]
    sooner = sum(good for good, _ in others), sum(bad for _, bad in others)
    tail = f", {sooner[0]:.0f} of {sum(sooner):.0f} made sooner" if others else ""
    return f"{BINS_S[chosen]:g} s after the first failure: {seen}{tail}"
