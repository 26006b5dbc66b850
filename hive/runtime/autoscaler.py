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
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery.concurrency.prefork import TaskPool as PreforkPool
from celery.worker import state

from hive.clock import Clock, SystemClock
from hive.scaling.estimate import LoadEstimator
from hive.scaling.fleet import overridden, within
from hive.scaling.observation import Decision, Observation
from hive.scaling.policy import ScalingState, decide
from hive.scaling.rules import ScalingRules
from hive.store.faults import BrokerFullError, BrokerGoneError
from hive.store.store import Store
from hive.telemetry.events import PoolScaled, fields_of
from hive.transport.channel import Channel

logger = logging.getLogger(__name__)

#: Seconds between two looks while there is work, and at least from one look to the next.
LOOK_EVERY_S, LOOK_GAP_S = 1.0, 0.25

#: Seconds from the order of a slot until it serves, with the time to the next look.
PLAN_AHEAD_S = 3.0

#: Pool children that are started in one turn of the loop.
CHILDREN_A_TURN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a worker's queues hold for it, as the broker tells.

    Attributes:
        messages: its part of what waits for all workers, and what waits for it alone.
        oldest_wait_s: how long the oldest has waited.
        override: slots that somebody asked for, of its own; None: nobody.
    """

    messages: int = 0
    oldest_wait_s: float = 0.0
    override: int | None = None


class SizeKeeper:
    """Observes a worker, decides its size and has it carried out; in a thread of its own from ``start`` to ``stop``.

    Both may be repeated.

    Args:
        rules: of the pool; read anew at each look.
        slots: returns the slots of the pool as it is.
        waiting: asks the broker; called in the thread.
        apply: told the size to have.
        tell: told of each decision that changes the size; called in the thread.
        service_s: takes the service times of tasks that ended since it was called last.
        clock: for rates.
    """

    def __init__(
        self,
        rules: Callable[[], ScalingRules],
        slots: Callable[[], int],
        waiting: Callable[[], Waiting],
        apply: Callable[[int], None],
        tell: Callable[[Decision], None],
        service_s: Callable[[], list[float]],
        clock: Clock | None = None,
    ) -> None:
        self._rules, self._slots, self._waiting = rules, slots, waiting
        self._apply, self._tell, self._service_s = apply, tell, service_s
        self._clock = clock or SystemClock()
        self._estimator = LoadEstimator(None)
        self._state = ScalingState()
        self._arrived = 0
        self._override: int | None = None
        self._nudged = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.last: Decision | None = None

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._thread is None or not self._thread.is_alive():
            self._stopped = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stopped,), name="hive-size", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        self._nudged.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def nudge(self) -> None:
        """Have it look soon: something came. Costs next to nothing, however often."""
        if not self._nudged.is_set():
            self._nudged.set()

    @property
    def is_settled(self) -> bool:
        """Whether nothing can change before something comes."""
        smallest = self._rules().minimum if self._override is None else self._override
        return not state.reserved_requests and self._slots() == smallest

    def run_once(self) -> Decision:
        """Look once, decide, and have it carried out.

        Raises:
            BrokerGoneError: the broker does not answer; nothing is changed.
        """
        rules, waiting = self._rules(), self._waiting()
        self._override = None if waiting.override is None else within(rules, waiting.override)
        seen = self._observed(waiting)
        if self._override is None:
            decision, self._state = decide(rules, self._state, seen)
        else:
            decision = overridden(rules, seen, self._override)
        if decision.change:
            self._apply(decision.target)
            self._tell(decision)
        self.last = decision
        return decision

    def _observed(self, waiting: Waiting) -> Observation:
        busy, reserved = len(state.active_requests), len(state.reserved_requests)
        held = max(reserved - busy, 0)
        # What has come to this worker: what it has begun, holds, and its part of what waits.
        begun = sum(tuple(state.total_count.values()))
        self._arrived = max(self._arrived, begun + held + waiting.messages)
        return self._estimator.observe(
            now_s=self._clock.monotonic_s(),
            arrived=self._arrived,
            ended_s=self._service_s(),
            slots=self._slots(),
            busy=busy,
            backlog=held + waiting.messages,
            oldest_wait_s=waiting.oldest_wait_s,
        )

    def _run(self, stopped: threading.Event) -> None:
        failing = False
        while not stopped.is_set():
            self._nudged.clear()
            try:
                self.run_once()
                failing = False
            except (BrokerGoneError, BrokerFullError) as error:
                if not failing:
                    logger.warning("the pool keeps its size until the broker is back: %s", error)
                failing = True
            self._nudged.wait(None if self.is_settled and not failing else LOOK_EVERY_S)
            stopped.wait(LOOK_GAP_S)


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
            self.keeper = SizeKeeper(
                self.rules,
                lambda: self.processes,
                reader.read,
                self._order,
                lambda decision: _tell(consumer, reader.agent_type, decision),
                lambda: [service_s.popleft() for _ in range(len(service_s))],
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
            wait_s = self.worker.app.settings.scaling.target_wait_s
            rules = ScalingRules(
                minimum=least, maximum=max(most, least), target_wait_s=wait_s, plan_ahead_s=PLAN_AHEAD_S
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


class DemandReader:
    """Asks the broker what waits for a worker.

    Args:
        consumer: Celery's.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._app = consumer, consumer.app
        served = set(self._queues())
        names = [agent.name for agent in self._app.agent_types.values() if agent.queue in served]
        #: The agent type whose queue it serves; its node name where it serves none.
        self.agent_type: str = names[0] if names else consumer.hostname

    def _queues(self) -> tuple[str, ...]:
        return tuple(self._app.amqp.queues.consume_from)

    def read(self) -> Waiting:
        """Return what waits.

        Raises:
            BrokerGoneError: the broker does not answer.
        """
        if not isinstance(self._app.access.channel, Channel):
            # Not our broker: what the worker has reserved is all that is known.
            return Waiting()
        store: Store = self._app.access.store
        demands = store.demand(self._queues())
        workers = max(1, *(one.consumers for one in demands))
        in_lanes, asked = store.own_demand(self._queues(), self._consumer.hostname, self.agent_type)
        return Waiting(
            messages=math.ceil(sum(one.waiting for one in demands) / workers) + in_lanes,
            oldest_wait_s=max((one.oldest_wait_s for one in demands), default=0.0),
            override=None if asked is None else math.ceil(asked / workers),
        )


def _tell(consumer: Any, agent_type: str, decision: Decision) -> None:
    """Tell of a change: in the log, as an event, and in the history on the broker."""
    described = decision.described()
    logger.info(
        "pool: %d slots instead of %d (%s; %d wait)",
        decision.target, decision.observation.slots, decision.reason, decision.observation.backlog,
    )  # fmt: skip
    dispatcher = consumer.event_dispatcher
    if dispatcher is not None and dispatcher.enabled:
        event = PoolScaled(
            agent_type=agent_type, scope=consumer.hostname, workers=1, override=None, term=None, decision=described
        )
        dispatcher.send(event.name, **fields_of(event))
    if isinstance(consumer.app.access.channel, Channel):
        at_ms = consumer.app.process.clock.wall_ms()
        record = {"agent_type": agent_type, "scope": consumer.hostname, "workers": 1, "at_ms": at_ms, **described}
        consumer.app.access.store.record_scaling(agent_type, json.dumps(record), term=None, changed=True)
