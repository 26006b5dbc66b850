"""A step, and what stands for the run of a durable task whose body is called directly."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hive.runtime.durable.task import DurableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that may begin, or is done.

    Attributes:
        name: its name, with its number if it is not the first of that name.
        key: what it hands to whatever it calls, the same for every time it runs.
        is_done: whether its result is there.
        value: that result.
    """

    name: str
    key: str
    is_done: bool = False
    value: Any = None


class DirectRun:
    """Stands for the run of a durable task whose body is called directly: every step runs, and waits are real.

    Args:
        task: its name.
    """

    def __init__(self, task: str) -> None:
        self.task_id = task
        self._counts: Counter[str] = Counter()

    def named(self, name: str) -> Step:
        """Return the next step of a name."""
        self._counts[name] += 1
        return Step(name=name, key=f"{self.task_id}:{name}#{self._counts[name]}")

    def begin(self, step: Step, on_unknown: str | None = None) -> Step:  # noqa: ARG002 - nothing is ever unknown
        """Begin a step."""
        return step

    def end(self, step: Step, value: Any) -> Any:  # noqa: ARG002 - nothing is kept
        """Return what the step returned."""
        return value

    def failed(self, step: Step) -> None:
        """Do nothing: nothing was noted."""

    def sleep(self, *, until: datetime | None, for_s: float | None) -> None:
        """Refuse: there is no broker to wait on.

        Raises:
            DurableError: always.
        """
        raise DurableError(f"task {self.task_id} was called directly and cannot wait (until={until}, for_s={for_s})")

    def wait_for(self, event: str, timeout_s: float | None) -> Any:  # noqa: ARG002 - nothing waits
        """Refuse: there is no broker to wait on.

        Raises:
            DurableError: always.
        """
        raise DurableError(f"task {self.task_id} was called directly and cannot wait for {event!r}")
