"""The thread that decides how many slots a worker's pool should have."""

import logging
import threading
from collections.abc import Callable

from celery.worker import state

from hive.clock import Clock, SystemClock
from hive.runtime.worker.worker_demand import Waiting
from hive.scaling.estimate import LoadEstimator
from hive.scaling.fleet import overridden, within
from hive.scaling.observation import Decision, Observation
from hive.scaling.policy import ScalingState, decide
from hive.scaling.rules import ScalingRules
from hive.store.faults import BrokerFullError, BrokerGoneError

logger = logging.getLogger(__name__)

#: Seconds between two looks while there is work, and at least from one look to the next.
LOOK_EVERY_S, LOOK_GAP_S = 1.0, 0.25


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
        room: returns the slots that resources leave to the pool, given those it has; None: they are not bounded.
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
        room: Callable[[int], int | None],
        clock: Clock | None = None,
    ) -> None:
        self._rules, self._slots, self._waiting = rules, slots, waiting
        self._apply, self._tell, self._service_s, self._room = apply, tell, service_s, room
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
        busy, reserved, slots = len(state.active_requests), len(state.reserved_requests), self._slots()
        held = max(reserved - busy, 0)
        # What has come to this worker: what it has begun, holds, and its part of what waits.
        begun = sum(tuple(state.total_count.values()))
        self._arrived = max(self._arrived, begun + held + waiting.messages)
        return self._estimator.observe(
            now_s=self._clock.monotonic_s(),
            arrived=self._arrived,
            ended_s=self._service_s(),
            slots=slots,
            busy=busy,
            backlog=held + waiting.messages,
            oldest_wait_s=waiting.oldest_wait_s,
            room=self._room(slots),
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
            except Exception:
                # Without this thread the pool would keep its size for good.
                if not failing:
                    logger.exception("the pool keeps its size for now")
                failing = True
            self._nudged.wait(None if self.is_settled and not failing else LOOK_EVERY_S)
            stopped.wait(LOOK_GAP_S)
