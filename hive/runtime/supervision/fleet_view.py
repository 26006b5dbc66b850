"""A fleet as its scaler sees it: what waits, runs and has ended, for all agent types in one look at the broker."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hive.agents.builtin import declared_needs
from hive.agents.types import AgentType
from hive.clock import Clock
from hive.learning.arrivals import ArrivalForecaster
from hive.resources.host import read_host
from hive.routing.report import finished_of
from hive.runtime.app import Hive
from hive.runtime.supervision.celery_arguments import GROWING_POOLS
from hive.runtime.supervision.plan import queues_of
from hive.scaling.estimate import LoadEstimator
from hive.scaling.fleet import PoolView
from hive.scaling.rules import ScalingRules
from hive.scaling.share import Budget
from hive.store.lane import LaneRecord
from hive.store.pipelining import Pipeline
from hive.store.scaling import QueueDemand
from hive.store.store import Store

#: Seconds of an interval of which arrivals are forecast.
STEP_S = 60.0
#: Times ``start_s``, and seconds at least, after which a type of whose workers none has come cannot be started, as it seems.
MISSING_STARTS, MISSING_S = 10, 120.0
#: Part of a host's memory that workers may need where nobody says how much.
SHARE_OF_HOST = 0.75


class PoolWatch:
    """Follows one agent type.

    Args:
        app: the application.
        agent: the type.
        clock: for rates.
    """

    def __init__(self, app: Hive, agent: AgentType, clock: Clock) -> None:
        scaling, needs = app.settings.scaling, declared_needs(agent)
        self.agent, self.queues, self._clock = agent, queues_of(app, agent), clock
        self.slots_each = slots_each(app, agent)
        rules = ScalingRules(
            minimum=agent.workers.minimum * self.slots_each,
            maximum=agent.workers.maximum * self.slots_each,
            target_wait_s=agent.target_wait_s or scaling.target_wait_s,
            plan_ahead_s=scaling.start_s + scaling.every_s,
        )
        self.rules = rules.lean() if agent.lean else rules
        memory_mb = scaling.slot_memory_mb if needs is None else needs.memory_mb
        cores = needs.cores if needs is not None and "cores" in needs.model_fields_set else 0.0
        self._memory_mb, self._cores = memory_mb * self.slots_each, cores * self.slots_each
        self._patience_s = max(MISSING_STARTS * scaling.start_s, MISSING_S)
        self._there_at_s = clock.monotonic_s()
        self._estimator = LoadEstimator(ArrivalForecaster(), STEP_S, scaling.start_s + scaling.every_s)
        self._finished: dict[str, int] = {}
        self._ended_count = self._arrived = self._told = 0
        self._is_new = True

    def view(
        self,
        demands: Sequence[QueueDemand],
        lanes: Sequence[LaneRecord],
        workers: int,
        override: int | None,
        stranded: int = 0,
    ) -> PoolView:
        """Return what the scaler is to see.

        Args:
            demands: of its queues.
            lanes: of its queues, with what their workers report.
            workers: that it is to have at present.
            override: slots that somebody asked for.
            stranded: messages in lanes of the dead.
        """
        slots = workers * self.slots_each
        held = sum(one.held for one in demands)
        waiting = sum(one.waiting for one in demands) + sum(lane.waiting for lane in lanes) + stranded
        busy = min(held, slots)
        service_s = self._take(lanes)
        self._arrived = max(self._arrived, self._ended_count + held + waiting)
        seen = self._estimator.observe(
            now_s=self._clock.monotonic_s(),
            arrived=self._arrived,
            ended_s=service_s,
            slots=slots,
            busy=busy,
            backlog=waiting + held - busy,
            oldest_wait_s=max((one.oldest_wait_s for one in demands), default=0.0),
        )
        return PoolView(
            agent_type=self.agent.name,
            rules=self._bounded(present_count(demands), workers),
            slots_each=self.slots_each,
            seen=seen,
            override=override,
            memory_mb=self._memory_mb,
            cores=self._cores,
        )

    def _bounded(self, there: int, workers: int) -> ScalingRules:
        """Return the rules, for one worker at most where none comes: what they would need of the budget is for the others."""
        now_s = self._clock.monotonic_s()
        if there or not workers:
            self._there_at_s = now_s
        if now_s - self._there_at_s <= self._patience_s:
            return self.rules
        return replace(self.rules, maximum=max(self.rules.minimum, self.slots_each))

    def arrived(self) -> int:
        """Return how many messages have come since this was asked last; 0 the first time."""
        before, self._told = self._told, self._arrived
        was_new, self._is_new = self._is_new, False
        return 0 if was_new else self._told - before

    def _take(self, lanes: Sequence[LaneRecord]) -> list[float]:
        """Count what workers have finished since the last look; returns a service time of each that has finished any."""
        found, known = [], dict[str, int]()
        for lane in lanes:
            finished, service_s = finished_of(lane.load)
            before = self._finished.get(lane.worker, finished)
            known[lane.worker] = finished
            # A worker that was started again counts from nothing.
            self._ended_count += finished - before if finished >= before else finished
            if service_s is not None and finished != before:
                found.append(service_s)
        self._finished = known
        return found


class FleetView:
    """Looks at all agent types.

    Args:
        app: the application.
        agents: the types to follow.
    """

    def __init__(self, app: Hive, agents: Sequence[AgentType]) -> None:
        self._app = app
        self.pools = [PoolWatch(app, agent, app.process.clock) for agent in agents]
        self.budget = budget_of(app)
        self._piped: tuple[Any, Any] = (None, None)

    def look(self, workers: Mapping[str, int | None]) -> list[PoolView]:
        """Return all agent types at present, in two round trips; in more where lanes of the dead are left.

        Args:
            workers: how many of each it is to have; None: as many as are there, within bounds.

        Raises:
            BrokerGoneError: the broker does not answer.
        """
        store = self._app.access.store
        if self._piped[0] is not store:
            self._piped = (store, Pipeline(store))
        queues = [queue for pool in self.pools for queue in pool.queues]
        looks = [lambda to, queue=queue: to.lanes(queue) for queue in queues]
        demands, *lanes = self._piped[1].run([lambda to: to.demand(queues), *looks])
        overrides = store.size_overrides([pool.agent.name for pool in self.pools])
        waiting, laned, views = iter(demands), iter(lanes), []
        for pool in self.pools:
            own = [next(waiting) for _ in pool.queues]
            found = [(queue, lane) for queue in pool.queues for lane in next(laned)]
            alive = [lane for _, lane in found if lane.is_alive]
            known = workers.get(pool.agent.name)
            count = present(pool.agent, own) if known is None else known
            stranded = _stranded(store, {queue for queue, lane in found if not lane.is_alive})
            views.append(pool.view(own, _each_once(alive), count, overrides.get(pool.agent.name), stranded))
        return views


def present(agent: AgentType, demands: Sequence[QueueDemand]) -> int:
    """Return how many workers are there, within the bounds of the type."""
    return min(max(present_count(demands), agent.workers.minimum), agent.workers.maximum)


def present_count(demands: Sequence[QueueDemand]) -> int:
    """Return how many workers are there, by those that consume the first queue of a type."""
    return demands[0].consumers if demands else 0


def slots_each(app: Hive, agent: AgentType) -> int:
    """Return how many slots a worker of a type has at most."""
    if agent.pool == "solo":
        return 1
    if agent.pool in GROWING_POOLS and app.settings.scaling.slots:
        return agent.concurrency.maximum
    return max(1, agent.concurrency.minimum)


def budget_of(app: Hive) -> Budget:
    """Return what all workers together may need, as the settings say, else by this host."""
    scaling = app.settings.scaling
    host = None if scaling.memory_mb and scaling.cores else read_host(app.settings.home)
    return Budget(
        memory_mb=scaling.memory_mb or (host.memory_mb * SHARE_OF_HOST if host is not None else None),
        cores=scaling.cores or (host.cores if host is not None else None),
    )


def _stranded(store: Store, queues: Iterable[str]) -> int:
    """Return how many messages wait in lanes of the dead: only a worker of their queue moves them from there."""
    count = 0
    for queue in queues:
        dead = {lane.worker for lane in store.lanes(queue) if not lane.is_alive}
        count += sum(waiting for worker, waiting in store.in_lanes(queue).items() if worker in dead)
    return count


def _each_once(lanes: Sequence[LaneRecord]) -> list[LaneRecord]:
    """Return the lanes with one for each worker: one that consumes two queues reports the same on both."""
    found: dict[str, LaneRecord] = {}
    for lane in lanes:
        before = found.get(lane.worker)
        waiting = lane.waiting + (before.waiting if before is not None else 0)
        found[lane.worker] = LaneRecord(
            worker=lane.worker, is_alive=lane.is_alive, age_s=lane.age_s, waiting=waiting, load=lane.load
        )
    return list(found.values())
