"""What a task declares to give instead of its result when a guard refuses it, and the mark of a result that is one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: Longest seconds a last good answer is kept if the task does not say.
KEPT_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A value given instead.

    Attributes:
        value: what the result is then; the result backend must be able to store it.
    """

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """The last result of the same call that was no fallback, with its age.

    Every good result is kept on the broker for that, one more round trip for each; one over a megabyte is not.

    Attributes:
        max_age_s: seconds after which an answer is too old to be given, and is kept no longer.
        key: returns what makes two calls the same, from the task's arguments; unset: all of its arguments.
    """

    max_age_s: float = KEPT_S
    key: Callable[..., str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAgent:
    """The same call, under the same id, for the pool of another agent type.

    There the guard that refused is not asked again.

    Attributes:
        agent_type: whose pool.
        task: name of the task to run there; unset: the same.
    """

    agent_type: str
    task: str | None = None


Source = Default | LastGood | OtherAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What a result says of itself that is a fallback.

    Attributes:
        source: ``default``, ``last_good`` or ``agent:<agent type>``.
        guard: which guard refused, such as ``breaker:openai`` or ``deadline``.
        reason: why, as a sentence.
        age_s: of a last good answer, in seconds when it was given; ``None`` for others.
    """

    source: str
    guard: str
    reason: str
    age_s: float | None = None

    def as_header(self) -> dict[str, Any]:
        """Return what is written beside a result, or into a message's headers."""
        return asdict(self)

    @classmethod
    def of_header(cls, header: object) -> "Fallback | None":
        """Return the mark that a result or a message carries, or None."""
        if not isinstance(header, Mapping):
            return None
        known = {name: header.get(name) for name in ("source", "guard", "reason")}
        return cls(**{name: str(value or "") for name, value in known.items()}, age_s=header.get("age_s"))


def sources(declared: object) -> tuple[Source, ...]:
    """Return what a task declares as ``fallback``, in the order in which it is tried.

    Raises:
        TypeError: it declares something that is no fallback.
    """
    given = () if declared is None else declared if isinstance(declared, Sequence) else (declared,)
    for one in given:
        if not isinstance(one, Default | LastGood | OtherAgent):
            raise TypeError(f"fallback={one!r}: use Default(value=...), LastGood() or OtherAgent(agent_type=...)")
    return tuple(given)
