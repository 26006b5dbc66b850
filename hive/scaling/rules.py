"""The rules of a pool's size: bounds, the wait that is aimed at, and how fast the size may change."""

from dataclasses import dataclass, replace
from typing import Self

from hive.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """Bounds, aim and pace of one pool.

    The defaults were tuned with ``benchmarks/scaling.py`` on one half of real applications and judged on the other.

    Attributes:
        minimum: slots that are always there.
        maximum: slots that are never exceeded.
        target_wait_s: the wait that is aimed at; a backlog is to be cleared within it. Less costs slots.
        late_share: share of the tasks that may wait for longer while the load is as expected.
        headroom: share by which the load may exceed what is expected; 0 plans for just that.
        plan_ahead_s: how far ahead demand is planned for; at least the time from the order of a slot until it serves,
            plus that between two decisions. A target wait above it needs no slots in advance at all; what has waited for
            less presses for no more slots than its number does, since they would come too late for it.
        in_advance: whether slots are kept for tasks that have not come yet; if not, a task that finds none idle waits
            until one is started, and a pool whose minimum is 0 costs nothing between two tasks.
        caution: place between the expected rate (0) and the upper bound of its forecast (1) that is planned for.
        follow: share of the late rate that is planned for even if the forecast is lower; 1 never trusts a forecast
            that says less than what is.
        hysteresis: a pool stays while no more than this share of it is spare. More changes seldom, and wastes as much.
        stabilisation_s: a pool shrinks only to the most that was wanted within this window.
        grow_factor: a size may grow to this multiple at once ...
        grow_slots: ... or by this many slots, whichever is more.
        shrink_share: share of the size that may go at once, at least one slot.
        grow_cooldown_s: between two growths.
        shrink_cooldown_s: between a change and a shrinking.
        assumed_service_s: service time before any task has ended.

    Raises:
        SettingsError: a rule is out of its range or contradicts another; it says which.
    """

    minimum: int = 1
    maximum: int = 100
    target_wait_s: float = 2.0
    late_share: float = 0.01
    headroom: float = 0.0
    plan_ahead_s: float = 15.0
    in_advance: bool = True
    caution: float = 0.5
    follow: float = 0.5
    hysteresis: float = 0.1
    stabilisation_s: float = 15.0
    grow_factor: float = 2.0
    grow_slots: int = 10
    shrink_share: float = 0.5
    grow_cooldown_s: float = 0.0
    shrink_cooldown_s: float = 10.0
    assumed_service_s: float = 1.0

    def __post_init__(self) -> None:
        wrong = [sentence for holds, sentence in self._relations() if not holds]
        if wrong:
            raise SettingsError("; ".join(wrong))

    def lean(self) -> Self:
        """Return rules that cost the least: slots are started only for tasks that are there, and go as soon as these end.

        A task that finds no slot waits until one has started; for pools whose tasks may wait that long.
        """
        return replace(
            self, in_advance=False, hysteresis=0.0, stabilisation_s=0.0, shrink_share=1.0, shrink_cooldown_s=0.0
        )

    def _relations(self) -> tuple[tuple[bool, str], ...]:
        return (
            (self.minimum >= 0, f"minimum is at least 0, not {self.minimum}"),
            (self.maximum >= max(1, self.minimum), f"maximum {self.maximum} is below 1 or the minimum {self.minimum}"),
            (self.target_wait_s > 0, "target_wait_s is above 0"),
            (self.plan_ahead_s > 0, "plan_ahead_s is above 0"),
            (self.assumed_service_s > 0, "assumed_service_s is above 0"),
            (0 < self.late_share < 1, "late_share is above 0 and below 1"),
            (self.headroom >= 0, "headroom is at least 0"),
            (0 <= self.caution <= 1, "caution is within 0..1"),
            (0 <= self.follow <= 1, "follow is within 0..1"),
            (0 <= self.hysteresis < 1, "hysteresis is at least 0 and below 1"),
            (self.grow_factor >= 1, "grow_factor is at least 1"),
            (self.grow_slots >= 1, "grow_slots is at least 1: a pool of none could never grow"),
            (0 < self.shrink_share <= 1, "shrink_share is above 0 and at most 1"),
            (
                min(self.stabilisation_s, self.grow_cooldown_s, self.shrink_cooldown_s) >= 0,
                "stabilisation_s and cooldowns are not negative",
            ),
        )
