"""What a scaler knows when it decides, and what it decides: plain values."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One pool at one moment, as the broker and the workers tell it.

    Attributes:
        now_s: monotonic time in seconds.
        slots: of the pool, with those that are starting, without those that drain.
        busy: slots that run a task.
        backlog: ready messages that nobody has claimed.
        oldest_wait_s: age of the oldest of them; 0 without a backlog.
        arrivals_per_s: rate of late.
        forecast_per_s: rate that is expected until a slot ordered now has been of use; None without a forecast.
        forecast_high_per_s: upper bound of that rate; None without a forecast.
        service_s: mean service time of late; None before the first task has ended.
        service_high_s: its 95 % quantile; None likewise.
        room: slots that memory and cores leave to the pool; None: not bounded.
    """

    now_s: float
    slots: int
    busy: int
    backlog: int
    oldest_wait_s: float = 0.0
    arrivals_per_s: float = 0.0
    forecast_per_s: float | None = None
    forecast_high_per_s: float | None = None
    service_s: float | None = None
    service_high_s: float | None = None
    room: int | None = None


class Reason(StrEnum):
    """Why a pool gets its size; the first that applies."""

    MINIMUM = "minimum"  # it was below its minimum
    MAXIMUM = "maximum"  # it was above its maximum, or above its room
    BACKLOG = "backlog"  # what waits has to be cleared within the target wait
    DEMAND = "demand"  # what arrives keeps more slots busy
    IDLE = "idle"  # fewer slots suffice, and have sufficed for the whole window
    STEADY = "steady"  # it fits, or nearly
    COOLDOWN = "cooldown"  # it would change, but has changed just now
    STABILISATION = "stabilisation"  # it would shrink, but needed its slots within the window
    OVERRIDE = "override"  # somebody asked for this size


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The size a pool should have.

    Attributes:
        target: slots.
        wanted: slots the demand asks for, before steps, cooldowns and the window.
        reason: of the target.
        observation: what it was decided from.
    """

    target: int
    wanted: int
    reason: Reason
    observation: Observation

    @property
    def change(self) -> int:
        """Slots to start; negative: slots to drain."""
        return self.target - self.observation.slots

    def described(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {"target": self.target, "wanted": self.wanted, "reason": str(self.reason), **asdict(self.observation)}
