"""How many slots and workers each pool has.

One policy (:func:`~hive.scaling.policy.decide`) is a pure function of rules, what it remembers and what is seen; it is
the same for the slots inside a worker, for whole workers and in ``hive simulate``. Whoever drives it observes, decides,
acts and keeps the state; :class:`~hive.scaling.estimate.LoadEstimator` makes observations of plain counters::

    observation = estimator.observe(now_s=..., arrived=..., ended_s=..., slots=..., busy=..., backlog=...)
    decision, state = decide(rules, state, observation)
    if decision.change: ...

Guaranteed: never under the minimum, never over the maximum (the minimum wins over the room that resources leave);
growth and shrinking keep to their steps, cooldowns and, for shrinking, the window; more backlog or a longer wait
never asks for fewer slots; noise inside the hysteresis never shrinks a pool. A decision carries its
inputs and its reason. Shrinking means draining: which slots go, and that none of them is busy, is the actuator's part.

Over whole workers :func:`~hive.scaling.fleet.plan` decides, in slots as well, for all agent types that share a budget; what
:func:`~hive.scaling.share.share` leaves a type is its room. It is driven by :mod:`hive.runtime.worker.autoscaler` inside a worker, by
:mod:`hive.runtime.supervision.fleet_scaler` over workers. The two levels do not know of one another: the fleet counts a worker as many
slots as it can have, and the worker has as many of them as its part of what waits needs.

Not here: to foresee arrivals (``hive.learning``), to start or drain anything.
"""

from hive.scaling.estimate import LoadEstimator
from hive.scaling.observation import Decision, Observation, Reason
from hive.scaling.policy import ScalingState, decide
from hive.scaling.rules import ScalingRules

__all__ = ["Decision", "LoadEstimator", "Observation", "Reason", "ScalingRules", "ScalingState", "decide"]
