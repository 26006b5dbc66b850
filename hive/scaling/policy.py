"""How many slots a pool should have: one pure function for every scaler.

Demand is arrival rate times service time, in busy slots (Little, "A proof for the queuing formula L = lambda W",
Operations Research 9, 1961). Over it come as many spare slots as random arrivals need for the target wait
(:mod:`hive.scaling.staffing`), or, where that is more, those that clear what waits already within the target. More
slots than tasks that could run in them are never asked for.

The wanted size then passes bounds, hysteresis, the window, cooldowns and steps, in this order::

    wanted ── over the room or maximum ───────────────► shrink at once
        ├──── under the minimum ──────────────────────► grow at once
        ├──── more ── cooldown? ── step ──────────────► grow
        ├──── less, within hysteresis ────────────────► steady
        └──── less ── window? ── cooldown? ── step ───► shrink (by draining)

Hysteresis holds only downwards: a pool that is a little too small never catches up.
"""

import math
from dataclasses import dataclass, field

from hive.scaling.observation import Decision, Observation, Reason
from hive.scaling.rules import ScalingRules
from hive.scaling.staffing import least_slots, pace

#: Part of the target wait that is left at least to clear a backlog whose oldest task has waited for long.
LEAST_LEFT = 0.25
#: By which a demand may exceed a whole number of slots without asking for one more.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingState:
    """What a policy remembers between two decisions; a scaler keeps it and hands it in again.

    Attributes:
        wanted: (time in seconds, slots) of late, each less than the one before: the most of every later window.
        grew_at_s: monotonic time of the last growth.
        shrank_at_s: of the last shrinking.
    """

    wanted: tuple[tuple[float, int], ...] = field(default=())
    grew_at_s: float = -math.inf
    shrank_at_s: float = -math.inf


def decide(rules: ScalingRules, state: ScalingState, seen: Observation) -> tuple[Decision, ScalingState]:
    """Decide the size of a pool.

    Args:
        rules: of the pool.
        state: what the last decision returned; a fresh one at the start.
        seen: the pool now; times never go back.

    Returns:
        The decision, and the state for the next one. The same arguments give the same decision; one that is not
        carried out is decided anew the next time.
    """
    wanted, why = wanted_slots(rules, seen)
    window = _window(state.wanted, seen.now_s, wanted, rules.stabilisation_s)
    target, reason = _target(rules, state, seen, wanted, why, window[0][1])
    grew_at_s = seen.now_s if target > seen.slots else state.grew_at_s
    shrank_at_s = seen.now_s if target < seen.slots else state.shrank_at_s
    decision = Decision(target=target, wanted=wanted, reason=reason, observation=seen)
    return decision, ScalingState(wanted=window, grew_at_s=grew_at_s, shrank_at_s=shrank_at_s)


def wanted_slots(rules: ScalingRules, seen: Observation) -> tuple[int, Reason]:
    """Return the slots that demand and backlog ask for, within the bounds, and which of them asks."""
    service_s = seen.service_s if seen.service_s is not None else rules.assumed_service_s
    bound = upper_bound(rules, seen)
    rate = planned_rate(rules, seen)
    kept = math.exp(-rules.plan_ahead_s / service_s) if service_s > 0.0 else 0.0
    demand = seen.busy * kept + rate * service_s * (1.0 - kept)
    # A slot more than there are tasks to run in the meantime would stand idle; for a task that comes later than this
    # a slot can still be started in time.
    coming = rate * max(0.0, rules.plan_ahead_s - rules.target_wait_s) if rules.in_advance else 0.0
    runnable = seen.busy + seen.backlog + math.ceil(coming + 2.0 * math.sqrt(coming))
    most, pace_s = min(bound, runnable), pace(service_s, seen.service_high_s)
    steady = least_slots(demand, pace_s, rules.target_wait_s, rules.late_share, most)
    # While the slots ordered for them start, tasks grow older whatever is decided: more slots would come too late.
    late_s = max(0.0, seen.oldest_wait_s - rules.plan_ahead_s)
    left_s = max(rules.target_wait_s - late_s, LEAST_LEFT * rules.target_wait_s)
    clearing = math.ceil(demand + seen.backlog * service_s / left_s - ROUNDING)
    wanted = min(max(steady, clearing), runnable)
    return min(max(wanted, rules.minimum), bound), Reason.BACKLOG if clearing > steady else Reason.DEMAND


def planned_rate(rules: ScalingRules, seen: Observation) -> float:
    """Return the arrivals a second that a pool is sized for."""
    if seen.forecast_per_s is None:
        return seen.arrivals_per_s * (1.0 + rules.headroom)
    high = seen.forecast_high_per_s if seen.forecast_high_per_s is not None else seen.forecast_per_s
    forecast = seen.forecast_per_s + rules.caution * max(0.0, high - seen.forecast_per_s)
    return max(forecast, rules.follow * seen.arrivals_per_s) * (1.0 + rules.headroom)


def upper_bound(rules: ScalingRules, seen: Observation) -> int:
    """Return the most slots allowed now: the maximum, or the room if that is less, but never under the minimum."""
    room = rules.maximum if seen.room is None else min(rules.maximum, seen.room)
    return max(rules.minimum, room)


def _target(
    rules: ScalingRules, state: ScalingState, seen: Observation, wanted: int, why: Reason, most: int
) -> tuple[int, Reason]:
    slots, bound = seen.slots, upper_bound(rules, seen)
    if slots < rules.minimum:
        return max(rules.minimum, min(wanted, _grown(rules, slots))), Reason.MINIMUM
    if slots > bound:
        return bound, Reason.MAXIMUM
    if wanted > slots:
        return _growth(rules, state, seen, wanted, why)
    if slots - wanted <= rules.hysteresis * slots:
        return slots, Reason.STEADY
    return _shrinking(rules, state, seen, most)


def _growth(
    rules: ScalingRules, state: ScalingState, seen: Observation, wanted: int, why: Reason
) -> tuple[int, Reason]:
    if seen.now_s - state.grew_at_s < rules.grow_cooldown_s:
        return seen.slots, Reason.COOLDOWN
    return min(wanted, _grown(rules, seen.slots)), why


def _shrinking(rules: ScalingRules, state: ScalingState, seen: Observation, most: int) -> tuple[int, Reason]:
    slots = seen.slots
    if slots - most <= rules.hysteresis * slots:
        return slots, Reason.STABILISATION
    if seen.now_s - max(state.grew_at_s, state.shrank_at_s) < rules.shrink_cooldown_s:
        return slots, Reason.COOLDOWN
    return max(most, slots - max(1, int(slots * rules.shrink_share))), Reason.IDLE


def _grown(rules: ScalingRules, slots: int) -> int:
    return max(int(slots * rules.grow_factor), slots + rules.grow_slots)


def _window(
    before: tuple[tuple[float, int], ...], now_s: float, wanted: int, length_s: float
) -> tuple[tuple[float, int], ...]:
    """Add what is wanted now; drop what is too old, and what a later and greater one hides."""
    kept = [(at_s, slots) for at_s, slots in before if now_s - at_s <= length_s and slots > wanted]
    return (*kept, (now_s, wanted))
