"""The size of a worker's own pool, which follows demand: Celery's ``worker_autoscaler``.

Celery's own looks at what its worker has reserved, which is never more than the worker takes ahead. This one looks at what
waits on the broker, and decides by the policy of every scaler of hive (:mod:`hive.scaling`)::

    worker's loop ── a task came ──► SizeKeeper (a thread) ── asks the broker, decides ──► worker's loop: grow, shrink

The loop never waits for the broker. A worker that is idle at its minimum asks nobody: the next task that comes wakes the
thread, and so does ``hive scale``. Several workers of a type share what waits evenly. A pool is changed by one or two slots
a turn of the loop, so that forking twenty children does not hold up what runs. Shrinking takes slots that are idle; what
runs, runs to its end (:mod:`hive.pools.shrinking`).
"""

import json
import logging
from typing import Any

from celery.concurrency.prefork import TaskPool as PreforkPool

from hive.runtime.worker.size_keeper import SizeKeeper
from hive.runtime.worker.worker_demand import DemandReader, Room, unbounded
from hive.scaling.observation import Decision
from hive.scaling.rules import ScalingRules
from hive.telemetry.events import PoolScaled, fields_of
from hive.transport.channel import Channel

logger = logging.getLogger(__name__)

#: Seconds from the order of a slot until it serves, with the time to the next look.
PLAN_AHEAD_S = 3.0

#: Children that may be ordered at once however few there are, and that are started in one turn of the loop.
CHILDREN_AT_ONCE, CHILDREN_A_TURN = 10, 2


class Autoscaler:
    """What Celery's worker asks for and tells of its autoscaler; the sizes are :class:`SizeKeeper`'s.

    Args:
        pool: Celery's.
        max_concurrency: most slots.
        min_concurrency: fewest.
        worker: Celery's.
        keepalive: seconds between two calls of :meth:`maybe_scale` by the loop.
        mutex: not needed: the pool is changed by the worker's own thread.
    """

    def __init__(
        self,
        pool: Any,
        max_concurrency: int,
        min_concurrency: int = 0,
        worker: Any = None,
        keepalive: float = 30.0,
        mutex: Any = None,  # noqa: ARG002 - Celery's signature
    ) -> None:
        self.pool, self.worker, self.keepalive = pool, worker, keepalive
        self.max_concurrency, self.min_concurrency = max_concurrency, max(min_concurrency, 1)
        self._wanted: int | None = None
        self._is_changing = False
        self._target_wait_s = 0.0
        self._rules_for: tuple[int, int, ScalingRules] | None = None
        self.keeper: SizeKeeper | None = None

    def start(self) -> None:
        """Do nothing: the keeper starts with the consumer."""

    def stop(self) -> None:
        """Do nothing: the keeper stops with the consumer."""

    def begin(self, consumer: Any) -> None:
        """Follow demand from now on; a repeat does nothing."""
        if self.keeper is None:
            app, service_s = consumer.app, consumer.app.process.service_s
            reader = DemandReader(consumer)
            agent = app.agent_types.get(reader.agent_type)
            own_s = None if agent is None else agent.target_wait_s
            self._target_wait_s = own_s or app.settings.scaling.target_wait_s
            self.keeper = SizeKeeper(
                self.rules,
                lambda: self.processes,
                reader.read,
                self._order,
                lambda decision: _tell(consumer, reader.agent_type, decision),
                lambda: [service_s.popleft() for _ in range(len(service_s))],
                Room(app, reader.agent_type) if isinstance(self.pool, PreforkPool) else unbounded,
                app.process.clock,
            )
        self._fit_prefetch()
        if consumer.qos is not None:
            consumer.qos.update()
        self.keeper.start()

    def end(self) -> None:
        """Follow it no longer. A repeat does nothing."""
        if self.keeper is not None:
            self.keeper.stop()

    def rules(self) -> ScalingRules:
        """Return bounds and pace of the pool."""
        most, least = self.max_concurrency, self.min_concurrency
        if self._rules_for is None or self._rules_for[:2] != (most, least):
            # Slots of pools in one process cost nothing, so they come all at once.
            step = CHILDREN_AT_ONCE if isinstance(self.pool, PreforkPool) else max(most, 1)
            rules = ScalingRules(
                minimum=least,
                maximum=max(most, least),
                target_wait_s=self._target_wait_s,
                plan_ahead_s=PLAN_AHEAD_S,
                grow_slots=step,
            )
            self._rules_for = (most, least, rules)
        return self._rules_for[2]

    def maybe_scale(self, req: Any = None) -> None:  # noqa: ARG002 - Celery's signature
        """Have the size looked at soon; Celery calls this with each task that comes."""
        if self.keeper is not None:
            self.keeper.nudge()

    on_task_received = maybe_scale

    def update(self, most: int | None = None, least: int | None = None) -> tuple[int, int]:
        """Change the range, as ``celery control autoscale`` asks; returns (most, fewest) slots."""
        if most is not None:
            self.max_concurrency = most
        if least is not None:
            self.min_concurrency = max(least, 1)
        self.maybe_scale()
        return self.max_concurrency, self.min_concurrency

    def info(self) -> dict[str, Any]:
        """Return what ``celery inspect stats`` shows."""
        last = self.keeper.last if self.keeper is not None else None
        return {
            "max": self.max_concurrency,
            "min": self.min_concurrency,
            "current": self.processes,
            "decision": None if last is None else {"target": last.target, "reason": str(last.reason)},
        }

    @property
    def processes(self) -> int:
        """Slots of the pool."""
        return int(self.pool.num_processes)

    def _order(self, target: int) -> None:
        """Have the worker's own thread change the pool."""
        self._wanted = target
        consumer = self.worker.consumer
        if consumer.hub is None:
            # Under gevent this is a greenlet of the worker's own thread.
            self._approach(target)
            return
        consumer.hub.call_soon(self._begin_change)
        task_consumer = consumer.task_consumer
        if task_consumer is not None and isinstance(task_consumer.channel, Channel):
            task_consumer.channel.connection.cycle.nudge()

    def _begin_change(self) -> None:
        if not self._is_changing:
            self._is_changing = True
            self._change()

    def _change(self) -> None:
        """Change the pool a little, and come again for the rest."""
        self._is_changing = False
        before = self.processes
        wanted = before if self._wanted is None else self._wanted
        step = max(wanted, before - CHILDREN_A_TURN) if wanted < before else min(wanted, before + CHILDREN_A_TURN)
        self._approach(step if isinstance(self.pool, PreforkPool) else wanted)
        if self.processes not in {before, wanted}:
            self._is_changing = True
            self.worker.consumer.hub.call_later(0.01, self._change)

    def _approach(self, target: int) -> None:
        """Give the pool that many slots; fewer only as far as slots are idle."""
        before = self.processes
        if target > before:
            self.pool.grow(target - before)
        elif target < before:
            self.pool.shrink(before - target)
        if self.processes != before:
            if self.processes > before and isinstance(self.pool, PreforkPool):
                self.pool.maintain_pool()
            self._fit_prefetch()

    def _fit_prefetch(self) -> None:
        """Let the worker take ahead what its slots can use: the rest stays where others see it."""
        consumer = self.worker.consumer
        if not consumer.initial_prefetch_count or consumer.qos is None:
            return
        wanted = self.processes * consumer.prefetch_multiplier
        consumer.initial_prefetch_count = wanted
        by = wanted - consumer.qos.value
        if by > 0:
            consumer.qos.increment_eventually(by)
        elif by < 0:
            consumer.qos.decrement_eventually(-by)


def _tell(consumer: Any, agent_type: str, decision: Decision) -> None:
    """Tell of a change: in the log, as an event, and in the history on the broker."""
    described = decision.described()
    logger.info(
        "pool: %d slots instead of %d (%s; %d wait)",
        decision.target, decision.observation.slots, decision.reason, decision.observation.backlog,
    )  # fmt: skip
    if isinstance(consumer.app.access.channel, Channel):
        at_ms = consumer.app.process.clock.wall_ms()
        record = {"agent_type": agent_type, "scope": consumer.hostname, "workers": 1, "at_ms": at_ms, **described}
        consumer.app.access.store.record_scaling(agent_type, json.dumps(record), term=None, changed=True)
    event = PoolScaled(
        agent_type=agent_type, scope=consumer.hostname, workers=1, override=None, term=None, decision=described
    )
    dispatcher = consumer.event_dispatcher
    if dispatcher is not None and dispatcher.enabled:
        dispatcher.send(event.name, **fields_of(event))
