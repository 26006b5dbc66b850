"""The retry budget: retries of a dependency are a stated share of its traffic, whoever makes them.

Every first attempt pays its share into an account, every retry draws one. An account in debt lets the retry wait until,
at the present rate, the debt is paid: retries are put off, none is refused. So a dependency that comes back meets its
ordinary traffic and a bounded share of retries, not all that failed meanwhile.

The same arithmetic runs on the broker for the whole fleet (``retry_budget.lua``); :class:`RetryAccount` is what a process
does alone while the broker is away.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """How many retries a dependency is to bear.

    Attributes:
        dependency: what is called, such as ``"openai"``; all tasks that name it share one account. ``None``: the task
            has an account of its own.
        share: retries for each first attempt; 0.2 is one in five.
        min_per_s: retries a second that are granted whatever the traffic is, over the whole fleet, so that the last
            tasks are retried too.
        window_s: seconds over which traffic is averaged, and for which unused retries are saved up.

    Raises:
        ValueError: a figure is out of range.
    """

    dependency: str | None = None
    share: float = 0.2
    min_per_s: float = 1.0
    window_s: float = 10.0

    def __post_init__(self) -> None:
        if self.share < 0 or self.min_per_s <= 0 or self.window_s <= 0:
            raise ValueError("a retry budget needs share >= 0, min_per_s > 0 and window_s > 0")


class RetryAccount:
    """The account of one dependency as a single process keeps it.

    Args:
        budget: the terms.
        now_s: monotonic seconds.
    """

    def __init__(self, budget: RetryBudget, now_s: float) -> None:
        self._budget = budget
        self._at_s = now_s
        self._traffic_per_s = 0.0
        self._balance = max(1.0, budget.min_per_s * budget.window_s)

    def draw(self, now_s: float, attempts: int) -> float:
        """Pay in for ``attempts`` first attempts since the last call, draw one retry, and return how long it waits (s)."""
        budget = self._budget
        passed_s = max(now_s - self._at_s, 0.0)
        self._at_s = now_s
        self._traffic_per_s = self._traffic_per_s * math.exp(-passed_s / budget.window_s) + attempts / budget.window_s
        rate_per_s = budget.min_per_s + budget.share * self._traffic_per_s
        earned = budget.share * attempts + budget.min_per_s * passed_s
        self._balance = min(self._balance + earned, max(1.0, rate_per_s * budget.window_s)) - 1
        return max(-self._balance / rate_per_s, 0.0)
