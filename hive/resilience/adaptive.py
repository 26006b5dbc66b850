"""Learning when to retry from what became of earlier retries.

Time since the first failure is cut into bins that double: at once, half a second, one, two, four seconds. A *cell* (i, j)
holds how many retries that were decided in bin ``i`` and made in bin ``j`` were done, and how many failed again. Choosing
is a short plan over the cells: what does it cost, in seconds, to wait for bin ``j``, with the chance seen there, and if
that fails, to go on from there as well as can be? A failed attempt costs a stated number of seconds besides.

What is believed of a cell nobody has tried: what has lasted for a time is over after as long again in half of all cases.
How far that holds for this task and cause (*healing*) is itself learned, from tries that waited where tries at once
succeed too: a model that answers well every other time does so whenever it is asked. A bug is not healed by waiting.

Where little is known, the chance of a wait is taken a little low and that of an attempt at once a little high. One choice
in fifty draws the chances from what the counts leave possible (Thompson sampling), so that all times are tried now and
then. Counts are halved when a cell is full: what
has changed is learned anew.

Not to be expected: learning from an outage that hits all tasks at once how long the next one will last.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from hive.resilience.failure import Cell

#: Start of each bin in seconds.
BINS_S = (0.0, *(0.5 * 2**power for power in range(15)))

#: Outcomes after which the counts of a cell are halved.
CELL_FULL = 256

#: Outcomes that stand for what is believed of a cell before anything was seen of it.
PRIOR_WEIGHT = 8.0

#: Chance of an attempt at once before anything was seen, and outcomes that stand for the belief that time heals.
AT_ONCE, HEALING_WEIGHT = 0.25, 2.0

#: Outcomes of others who waited for the same bin that weigh as much as the belief that time heals.
HEALED_WEIGHT = 4.0

#: Where attempts at once succeed less often than this, waiting that did not help says little: it may have been too short.
TELLING_CHANCE = 0.03

#: Standard deviations by which the chance of a wait is taken low, and that of an attempt at once, which costs no wait,
#: high; and the part of choices that draw chances instead.
CAUTION, HOPE, EXPLORED = 0.3, 1.0, 0.02

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
        random: says when to explore, and draws the chances then.
    """
    now = bin_of(elapsed_s)
    chances = _Chances(outcomes, random if random.random() < EXPLORED else None)
    cost = [0.0] * len(BINS_S)
    best = now
    for here in range(len(BINS_S) - 1, now - 1, -1):
        start_s = elapsed_s if here == now else BINS_S[here]
        cost[here], best = _cheapest(here, start_s, cost, cap_s, attempt_cost_s, chances)
    wait_s = max(BINS_S[best] - elapsed_s, 0.0)
    return Choice(delay_s=min(wait_s, cap_s), cell=(now, best), why=_grounds(outcomes, now, best))


def at_once(outcomes: Outcomes, elapsed_s: float) -> Choice:
    """Return the choice for what time does not heal."""
    now = bin_of(elapsed_s)
    return Choice(delay_s=0.0, cell=(now, now), why=_grounds(outcomes, now, now))


class _Chances:
    """The chance that a retry decided in one bin and made in another is done.

    Args:
        outcomes: what was seen.
        random: draws each chance; ``None``: the likely ones are wanted.
    """

    def __init__(self, outcomes: Outcomes, random: Random | None) -> None:
        self._cells = outcomes.cells
        self._random = random
        prompt = [counts for (here, there), counts in self._cells.items() if here == there]
        good, total = sum(good for good, _ in prompt), sum(map(sum, prompt))
        self._at_once = (good + AT_ONCE * PRIOR_WEIGHT) / (total + PRIOR_WEIGHT)
        self._healing = self._learned_healing(good / (total + PRIOR_WEIGHT))
        #: What became of all retries that waited for a bin, whenever they were decided.
        self._by_bin = [(0.0, 0.0)] * len(BINS_S)
        for (here, there), (good, bad) in self._cells.items():
            if there > here:
                before = self._by_bin[there]
                self._by_bin[there] = before[0] + good, before[1] + bad

    def __call__(self, here: int, there: int) -> float:
        good, bad = self._cells.get((here, there), (0.0, 0.0))
        believed = self._believed(here, there)
        good, bad = good + PRIOR_WEIGHT * believed, bad + PRIOR_WEIGHT * (1 - believed)
        if self._random is not None:
            return max(self._random.betavariate(good, bad), 1e-6)
        likely = good / (good + bad)
        unsure = math.sqrt(likely * (1 - likely) / (good + bad + 1))
        likely += HOPE * unsure if there == here else -CAUTION * unsure
        return min(max(likely, 1e-6), 1.0)

    def _believed(self, here: int, there: int) -> float:
        """Return the chance to begin with: what others say who waited for the same bin, and what time heals."""
        if there == here:
            return self._at_once
        good, bad = self._by_bin[there]
        healed = min(self._at_once + (1 - self._at_once) * self._healing * _healed(there - here), 0.98)
        return (good + healed * HEALED_WEIGHT) / (good + bad + HEALED_WEIGHT)

    def _learned_healing(self, seen_at_once: float) -> float:
        """Return how far time heals, 0 to 1: what waiting gained, beside what it would gain if it did so fully."""
        telling = seen_at_once / (seen_at_once + TELLING_CHANCE)
        gained = possible = HEALING_WEIGHT
        for (here, there), (good, bad) in self._cells.items():
            if there > here:
                gained += telling * (good - self._at_once * (good + bad))
                possible += telling * (1 - self._at_once) * _healed(there - here) * (good + bad)
        return min(max(gained / possible, 0.0), 1.0)


def _healed(bins: int) -> float:
    """Return the chance that what has lasted up to one bin is over so many bins later: a half for each."""
    return 1 - 0.5**bins


def _cheapest(
    here: int, start_s: float, cost: list[float], cap_s: float, attempt_cost_s: float, chance: _Chances
) -> tuple[float, int]:
    """Return the cost in seconds of the best wait from a bin, and the bin it leads to; later bins are known."""
    likely = chance(here, here)
    # What fails at once is tried at once again: the sum of that series.
    best_s, best = (1 - likely) * attempt_cost_s / likely, here
    for there in range(here + 1, len(BINS_S)):
        wait_s = max(BINS_S[there] - start_s, 0.0)
        if wait_s > cap_s or wait_s >= best_s:
            break
        total_s = wait_s + (1 - chance(here, there)) * (attempt_cost_s + cost[there])
        if total_s < best_s:
            best_s, best = total_s, there
    return best_s, best


def _grounds(outcomes: Outcomes, now: int, chosen: int) -> str:
    good, bad = outcomes.cells.get((now, chosen), (0.0, 0.0))
    seen = f"{good:.0f} of {good + bad:.0f} retries made then were done" if good + bad else "nothing seen there yet"
    others = [outcomes.cells[now, there] for there in range(now, chosen) if (now, there) in outcomes.cells]
    sooner = sum(good for good, _ in others), sum(bad for _, bad in others)
    tail = f", {sooner[0]:.0f} of {sum(sooner):.0f} made sooner" if others else ""
    when = f"{BINS_S[chosen]:g} s after the first failure" if chosen > now else "at once"
    return f"{when}: {seen}{tail}"
