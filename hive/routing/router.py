"""The router that Celery asks for every ``.delay()``."""

import itertools
import os
import random
from collections.abc import Mapping
from typing import Any

from hive.agents.types import AgentType
from hive.clock import Clock
from hive.errors import UnknownAgentTypeError
from hive.routing.affinity import Affinity
from hive.routing.candidates import Call, Decision, Pool
from hive.routing.capability import Capability
from hive.routing.keys import bucket_of
from hive.routing.snapshots import Snapshots
from hive.routing.strategy import Strategy
from hive.store.lane import AFFINITY, LANE


class Router:
    """Sends a task to the queue of its agent type, or to the lane of one worker, for Celery's ``task_routes``.

    A call without a key, of a task without a strategy, goes to the shared queue and costs no decision.

    Args:
        types: agent types by name.
        snapshots: what is known of workers; none: there are no lanes.
        clock: for strategies.
        rng: chance; another one in each process.
    """

    def __init__(
        self,
        types: Mapping[str, AgentType],
        snapshots: Snapshots | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._types, self._snapshots, self._clock = types, snapshots, clock
        self._rng = rng or random.Random()  # noqa: S311 - no secret
        self._pid = os.getpid()
        self._by_key, self._by_kind = Affinity(), Capability()
        kinds = {kind for one in types.values() for kind in one.kinds}
        # The most able first: most strategies need not look much further.
        self._able = {
            kind: sorted(
                (name for name, one in types.items() if kind in one.kinds),
                key=lambda name: -types[name].proficiency(kind),
            )
            for kind in kinds
        }
        # Each process begins its turns elsewhere.
        self._numbers = itertools.count(int(self._rng.random() * 1000))

    def __call__(
        self, name: str, args: Any, kwargs: Any, options: Mapping[str, Any], task: Any = None, **_: Any
    ) -> dict[str, str] | None:
        """Return ``{"queue": ...}``, with a lane if one was chosen, for a task with an agent type or a kind; else nothing.

        ``agent_type`` among the call's options wins over the task's own. Always a new dict: Celery changes it.

        Raises:
            UnknownAgentTypeError: nobody declared the agent type of the call.
        """
        if options.get("queue"):
            return None
        wanted = options.get("agent_type") or getattr(task, "agent_type", None)
        if wanted is not None and wanted not in self._types:
            raise UnknownAgentTypeError(wanted, self._types, name)
        key = (options.get("headers") or {}).get(AFFINITY)
        strategy = self.strategy_of(task, key)
        if strategy is None:
            return None if wanted is None else {"queue": self._types[wanted].queue}
        call = self.call_of(name, task, key)
        names = self.candidates(call, wanted)
        if not names:
            return None
        decision = self.decide(call, names, strategy)
        queue = self._types[decision.agent_type].queue
        return {"queue": queue} if decision.worker is None else {"queue": queue, LANE: decision.worker}

    def strategy_of(self, task: Any, key: str | None) -> Strategy | None:
        """Return the strategy for a call of a task with this key, or None: it goes to the shared queue of its type."""
        declared: Strategy | None = getattr(task, "routing", None)
        if declared is not None:
            return declared
        if key is not None:
            return self._by_key
        return None if getattr(task, "kind", None) is None or task.agent_type is not None else self._by_kind

    def call_of(self, name: str, task: Any, key: str | None) -> Call:
        """Return what strategies see of a call."""
        return Call(
            task=name,
            kind=getattr(task, "kind", None),
            domains=frozenset(getattr(task, "domains", ())),
            affinity=key,
            needs=getattr(task, "needs", None),
            number=next(self._numbers),
        )

    def candidates(self, call: Call, wanted: str | None) -> list[str]:
        """Return the agent types a call may go to: its own, else all that can do its kind."""
        if wanted is not None:
            return [wanted]
        if call.kind is None:
            return []
        return self._able.get(call.kind, [])

    def decide(self, call: Call, names: list[str], strategy: Strategy) -> Decision:
        """Return where a call goes, by what is known of the workers at present, and count it for the next decision."""
        pools = self._snapshots.pools(names) if self._snapshots else [Pool(self._types[name]) for name in names]
        if self._pid != os.getpid():
            # Children of one parent must not choose alike.
            self._pid = os.getpid()
            self._rng.seed()
        now_s = 0.0 if self._clock is None else self._clock.monotonic_s()
        decision = strategy.choose(call, pools, now_s, self._rng)
        if decision.worker is not None:
            bucket = None if call.affinity is None else bucket_of(call.affinity)
            next(pool for pool in pools if pool.name == decision.agent_type).note(decision.worker, now_s, bucket)
        return decision
