"""When an agent is to sleep and to wake: a pure decision over its policy, what is known of it, and the time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hive.agents.lifecycle import AgentEvent, AgentState
from hive.agents.windows import SleepWindow
from hive.errors import InputError

#: Begins the reason of a sleep that a window asked for; such a sleep ends with the window.
WINDOW = "window "

#: Seconds an agent must have been idle before a window puts it to sleep, also again after a message has woken it.
SETTLED_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepPolicy:
    """When an agent sleeps.

    Attributes:
        idle_s: seconds without a message after which it sleeps; none: never for that.
        windows: in which it sleeps, once it has been without a message for a minute.
        wakes_on_message: whether a message wakes it; else messages wait on the broker until something else does.

    Raises:
        InputError: ``idle_s`` is not positive.
    """

    idle_s: float | None = None
    windows: tuple[SleepWindow, ...] = ()
    wakes_on_message: bool = True

    def __post_init__(self) -> None:
        """Check the time."""
        if self.idle_s is not None and self.idle_s <= 0:
            raise InputError(f"SleepPolicy(idle_s={self.idle_s!r}) must be more than 0 s")

    def as_table(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "idle_s": self.idle_s,
            "windows": [window.as_table() for window in self.windows],
            "wakes_on_message": self.wakes_on_message,
        }

    @classmethod
    def of_table(cls, table: Mapping[str, Any]) -> "SleepPolicy":
        """Return the policy that a table describes.

        Raises:
            InputError: it describes none.
        """
        try:
            windows = tuple(
                SleepWindow(**{**window, "weekdays": tuple(window.get("weekdays", ()))})
                for window in table.get("windows", ())
            )
            return cls(**{**table, "windows": windows})
        except TypeError as error:
            raise InputError(f"no sleep policy: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to happen to an agent, and why.

    Attributes:
        event: ``SLEEP`` or ``WAKE``.
        reason: a few words, kept with the agent.
    """

    event: AgentEvent
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of an agent when somebody looks.

    Attributes:
        state: it is in.
        reason: why it came there.
        idle_s: seconds since its last message began or ended.
        running_count: messages of it that run.
        waiting_count: messages of it that wait because it is not awake.
    """

    state: AgentState
    reason: str = ""
    idle_s: float = 0.0
    running_count: int = 0
    waiting_count: int = 0


def wish(policy: SleepPolicy, standing: Standing, now_ms: int) -> Wish | None:
    """Return what is to happen to an agent now; None: nothing.

    Args:
        policy: of the agent.
        standing: what is known of it.
        now_ms: milliseconds since 1970.
    """
    window = next((one for one in policy.windows if one.open_until_ms(now_ms) is not None), None)
    if standing.state is AgentState.AWAKE and not standing.running_count:
        if window is not None and standing.idle_s >= SETTLED_S:
            return Wish(event=AgentEvent.SLEEP, reason=f"{WINDOW}{window}")
        if policy.idle_s is not None and standing.idle_s >= policy.idle_s:
            return Wish(event=AgentEvent.SLEEP, reason=f"idle for {standing.idle_s:.0f} s")
    if standing.state is AgentState.SLEEPING:
        if standing.reason.startswith(WINDOW) and window is None:
            return Wish(event=AgentEvent.WAKE, reason="its window is over")
        if standing.waiting_count and policy.wakes_on_message:
            return Wish(event=AgentEvent.WAKE, reason="messages wait")
    return None
