"""What every guard is asked and answers: values and one protocol, so that admission need not know who guards what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol


class Answer(Enum):
    """What a guard says of a task that is about to take a slot."""

    RUN = "run"
    """It may run now."""
    WAIT = "wait"
    """Not yet: it waits on the broker until ``due_ms``. What a limit says that soon has room again."""
    REFUSE = "refuse"
    """No: its fallback, if it declares one; else it waits until ``due_ms``, and without one it fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWait:
    """For which agent a task waits, and how it was when the guard looked.

    Attributes:
        agent: its name.
        token: of its last move; if it has moved since, the task is looked at again at once.
        due_ms: when it is looked at again anyway; None: only when the agent wakes.
    """

    agent: str
    token: int
    due_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A guard's answer.

    Attributes:
        answer: run, wait or refuse.
        guard: the guard's kind and name, such as ``breaker:openai``; empty where it may run.
        reason: a sentence for operators.
        due_ms: when to ask again, milliseconds since 1970 on the broker's clock; ``None``: never.
        agent: with ``WAIT``: the agent it waits for, instead of a time.
    """

    answer: Answer
    guard: str = ""
    reason: str = ""
    due_ms: int | None = None
    agent: AgentWait | None = None


#: The answer of a guard that has nothing against it.
RUN = Verdict(answer=Answer.RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedCall:
    """What a guard may know of a task before it runs.

    Attributes:
        id: the task's.
        task: its name.
        queue: where its message came from.
        retries: attempts before this one that ended in a retry.
        headers: of its message.
        arguments: returns positional and keyword arguments, decoded on first use.
        message_id: of its message.
        where: names its delivery, as :func:`hive.store.lifecycles.where_of` does.
    """

    id: str
    task: str
    queue: str
    retries: int
    headers: Mapping[str, Any] = field(default_factory=dict)
    arguments: Callable[[], tuple[Sequence[Any], Mapping[str, Any]]]
    message_id: str = ""
    where: str = ""

    @property
    def holder(self) -> str:
        """Names what this delivery of the task holds: another attempt, or delivery, of it may begin before it lets go."""
        return f"{self.id}:{self.retries}:{self.where.rpartition(' ')[2]}"


class Guard(Protocol):
    """Says whether a task may run now.

    All methods are called in the worker's main process, :meth:`ask` from its event loop, :meth:`ended` from any thread,
    so they must be quick: a script on the broker now and then, not one for every task. A guard whose broker is away
    decides from what it knows; it does not raise.
    """

    @property
    def name(self) -> str:
        """Kind and name, such as ``breaker:openai``; a label of figures, so there are few."""

    def ask(self, call: GuardedCall) -> Verdict:
        """Say whether the task may take a slot; what it takes for that (a permit, a place) it holds until it is told."""

    def release(self, call: GuardedCall) -> None:
        """Take back what :meth:`ask` gave: another guard refused, or the task never ran. A repeat does nothing."""

    def ended(self, call: GuardedCall, error: BaseException | None) -> None:
        """Learn how a task ended that it let run: what it raised (the cause of a retry for a retry), or ``None``."""
