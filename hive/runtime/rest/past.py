"""What is known of an agent's past: how many messages came in each interval, and what was foretold of the next.

It is kept as text beside the other notes of the scheduler, equal counts in a row as ``12x0``: an agent that nobody needs
takes some twenty bytes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from hive.learning.idleness import KEPT, WINDOW, IdleChance, IdlenessForecaster


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An agent's past as the scheduler keeps it.

    Attributes:
        interval: number of the latest interval that is known.
        messages_count: of the agent in all by its end.
        counts: messages in each interval, oldest first, of two days at most.
        foretold: interval in which idleness was foretold or not, 0: nothing is.
        was_idle: what was foretold.
    """

    interval: int
    messages_count: int
    counts: tuple[float, ...] = ()
    foretold: int = 0
    was_idle: bool = False

    def seen(self, interval: int, messages_count: int) -> "Past":
        """Return the past at the end of a later interval; what came is spread over those that passed."""
        passed = interval - self.interval
        if passed <= 0:
            return self
        each = max(messages_count - self.messages_count, 0) / passed
        counts = (*self.counts, *([each] * min(passed, KEPT)))[-KEPT:]
        return replace(self, interval=interval, messages_count=messages_count, counts=counts)

    def forecaster(self) -> IdlenessForecaster:
        """Return a forecaster that has learnt it."""
        return IdlenessForecaster(self.counts)

    def load(self, usual: float) -> float:
        """Return the messages of the last half hour over those of a usual one, as the forecaster tells it."""
        return sum(self.counts[-WINDOW:]) / usual if usual else 0.0

    def foretelling(self, idle: IdleChance) -> "Past":
        """Return the past with a new foretelling, once the one before it is over."""
        if self.foretold and self.judged() is None:
            return self
        return replace(self, foretold=self.interval if idle.known else 0, was_idle=idle.chance >= 0.5)

    def judged(self) -> bool | None:
        """Return whether what was foretold has come true; None: it is not over, or nothing was foretold."""
        if not self.foretold or self.interval < self.foretold + WINDOW:
            return None
        return self.was_idle == self.came_idle()

    def came_idle(self) -> bool:
        """Tell whether the window of the foretelling was idle."""
        after = len(self.counts) - (self.interval - self.foretold)
        window = self.counts[max(after, 0) : max(after, 0) + WINDOW]
        return IdlenessForecaster(self.counts[: max(after, 0)]).is_idle(sum(window))

    def written(self) -> str:
        """Return it as text."""
        runs = (f"{len(list(group))}x{count:g}" for count, group in groupby(self.counts))
        return f"{self.interval} {self.messages_count} {self.foretold} {int(self.was_idle)} {' '.join(runs)}"

    @classmethod
    def read(cls, text: str) -> "Past":
        """Return the past that a text tells.

        Raises:
            ValueError: it tells none.
        """
        interval, messages, foretold, was_idle, *runs = text.split()
        counts: list[float] = []
        for run in runs:
            times, _, count = run.partition("x")
            counts += [float(count)] * int(times)
        return cls(
            interval=int(interval),
            messages_count=int(messages),
            counts=tuple(counts),
            foretold=int(foretold),
            was_idle=was_idle == "1",
        )


def counted(before: Mapping[str, int], pasts: Iterable[Past]) -> dict[str, int]:
    """Count what was foretold and is over: by what was said, and whether it came true."""
    after = dict(before)
    for past in pasts:
        right = past.judged()
        if right is not None:
            name = f"{'idle' if past.was_idle else 'busy'}_{'right' if right else 'wrong'}"
            after[name] = after.get(name, 0) + 1
    return after
