"""What a strategy is asked and what it answers."""

from dataclasses import dataclass

from hive.resilience.causes import Cause

#: Bin of elapsed time before a retry and planned for it; see :mod:`hive.resilience.adaptive`.
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed attempt.

    Attributes:
        task: name of the task.
        cause: why it failed.
        retries: retries made before this failure; 0: the first attempt failed.
        elapsed_s: seconds since the first attempt failed; 0.0 for the first failure.
        priority: of the message, as the broker serves it: 0 first.
        retry_after_s: seconds the other side asked to wait, if it did.
    """

    task: str
    cause: Cause
    retries: int = 0
    elapsed_s: float = 0.0
    priority: int = 0
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to follow a failure.

    Attributes:
        delay_s: seconds until the next attempt; ``None``: there is none, the failure is the outcome.
        why: a sentence for the operator: what was chosen, and on what grounds.
        cell: what an adaptive strategy wants to learn the outcome of.
        is_exhausted: whether it is the number of retries or the deadline that ended them.
    """

    delay_s: float | None
    why: str
    cell: Cell | None = None
    is_exhausted: bool = False
