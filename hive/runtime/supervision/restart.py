"""When a part that ended is started again."""

from dataclasses import dataclass

#: Seconds before the first restart; each further one in a row doubles it.
RESTART_FIRST_S = 0.5


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next start; a pure state machine.

    A part that served longer than the longest wait counts as recovered: its next end waits as briefly as the first.

    Attributes:
        max_s: longest wait in seconds.
        ends: times it ended since it last served for ``max_s``.
    """

    max_s: float
    ends: int = 0

    def ended(self, served_s: float) -> float:
        """Count an end, after it had served for ``served_s`` seconds (0: never), and return the seconds to wait."""
        self.ends = 1 if served_s > self.max_s else self.ends + 1
        # The exponent is bounded: a float overflows after a thousand doublings.
        return float(min(self.max_s, RESTART_FIRST_S * 2 ** min(self.ends - 1, 32)))
