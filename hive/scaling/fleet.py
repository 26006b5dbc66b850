"""How many workers each agent type of a fleet should have: one step, pure.

The same policy as inside a worker decides, in slots; a worker counts as many as it can have. What the demand of all types
asks for is cut to the budget first (:mod:`hive.scaling.share`), so that a type that has more than its share shrinks to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hive.scaling.observation import Decision, Observation, Reason
from hive.scaling.policy import ScalingState, decide, wanted_slots
from hive.scaling.rules import ScalingRules
from hive.scaling.share import Budget, Wish, share


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """All workers of one agent type at one moment.

    Attributes:
        agent_type: its name.
        rules: in slots: bounds are those of the number of workers, times ``slots_each``.
        slots_each: most slots of a worker.
        seen: what is observed; its ``slots`` are those of all workers, its ``room`` is put in here.
        override: slots that somebody asked for, whatever the demand; None: nobody.
        memory_mb: that a worker needs.
        cores: that a worker needs.
    """

    agent_type: str
    rules: ScalingRules
    slots_each: int
    seen: Observation
    override: int | None = None
    memory_mb: float = 0.0
    cores: float = 0.0

    def workers(self, slots: int) -> int:
        """Return how many workers have that many slots."""
        return -(-slots // self.slots_each)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolDecision:
    """The size an agent type should have.

    Attributes:
        agent_type: its name.
        workers: that it should have.
        decision: in slots, with its inputs.
        override: slots that somebody asked for and that are within bounds; None: demand decides.
    """

    agent_type: str
    workers: int
    decision: Decision
    override: int | None = None


def plan(
    pools: Sequence[PoolView], states: Mapping[str, ScalingState], budget: Budget
) -> tuple[list[PoolDecision], dict[str, ScalingState]]:
    """Decide the sizes of all agent types that share a budget.

    Args:
        pools: all of them; times never go back.
        states: what the last call returned; an agent type that is new there starts afresh.
        budget: of all their workers.

    Returns:
        A decision for each, in their order, and the states for the next call. The same arguments give the same.
    """
    rooms = _rooms(pools, budget)
    decisions, after = [], {}
    for pool in pools:
        seen = replace(pool.seen, room=rooms[pool.agent_type] * pool.slots_each)
        state = states.get(pool.agent_type, ScalingState())
        override = None if pool.override is None else within(pool.rules, pool.override)
        if override is None:
            decision, state = decide(pool.rules, state, seen)
        else:
            decision = overridden(pool.rules, seen, override)
        after[pool.agent_type] = state
        workers = pool.workers(decision.target)
        decisions.append(
            PoolDecision(agent_type=pool.agent_type, workers=workers, decision=decision, override=override)
        )
    return decisions, after


def within(rules: ScalingRules, slots: int) -> int:
    """Return the number of slots within the bounds that is nearest to what was asked for."""
    return min(max(slots, rules.minimum), rules.maximum)


def overridden(rules: ScalingRules, seen: Observation, slots: int) -> Decision:
    """Return the decision where somebody asked for a number of slots: at once, as far as there is room."""
    room = slots if seen.room is None else min(slots, seen.room)
    target = max(rules.minimum, room)
    return Decision(target=target, wanted=slots, reason=Reason.OVERRIDE, observation=seen)


def _rooms(pools: Sequence[PoolView], budget: Budget) -> dict[str, int]:
    """Return how many workers each agent type may have.

    What its demand asks for comes first; then each may keep what it has beyond that, as far as nobody else wants it:
    whether it shrinks is the policy's to say, which waits.
    """
    granted = share(budget, [_wish(pool, pool.workers(pool.rules.minimum), _wanted(pool)) for pool in pools])
    kept = [
        _wish(pool, granted[pool.agent_type], max(granted[pool.agent_type], pool.workers(pool.seen.slots)))
        for pool in pools
    ]
    return share(budget, kept)


def _wanted(pool: PoolView) -> int:
    if pool.override is not None:
        return pool.workers(within(pool.rules, pool.override))
    return pool.workers(wanted_slots(pool.rules, pool.seen)[0])


def _wish(pool: PoolView, minimum: int, wanted: int) -> Wish:
    return Wish(agent_type=pool.agent_type, minimum=minimum, wanted=wanted, memory_mb=pool.memory_mb, cores=pool.cores)
