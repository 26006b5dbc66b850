"""The gate between a worker's consumer and its pool: a task passes once its start is on the broker's record."""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

from celery.worker import state

from hive.clock import Clock, SystemClock
from hive.runtime.worker.pace import Pace
from hive.store.values import DeliveryId, Outcome, Start


class Gate:
    """Hands tasks to the pool as slots come free, after their starts were recorded, many in one round trip.

    Only what has passed counts as started: what waits here is handed back when the worker stops, and its messages
    count no death when the worker dies.

    Args:
        process: hands a request to the pool.
        slots: how many tasks the pool runs at once, asked each time because pools grow and shrink.
        clock: for the pace of the pool.
        admits: asked for each task just before its start is recorded; one that it does not admit is gone from here.
        dismisses: told of each task that leaves for another worker after it may have been admitted.
    """

    def __init__(
        self,
        process: Callable[[Any], Any],
        slots: Callable[[], int],
        clock: Clock | None = None,
        admits: Callable[[Any], bool] | None = None,
        dismisses: Callable[[Any], None] | None = None,
    ) -> None:
        self.process = process
        self.slots = slots
        self.admits = admits or _all
        self.dismisses = dismisses or _nobody
        self.pace = Pace(clock or SystemClock())
        self._passed_count = 0
        self._waiting: deque[Any] = deque()
        self._starting: dict[DeliveryId, Any] = {}
        #: Whether more may be held than there are slots.
        self.prefetches = True
        #: Called with one start where no event loop will come to ask for it.
        self.start_now: Callable[[Start], Outcome] | None = None
        #: Called before each task that goes to the pool.
        self.on_passed: Callable[[], None] = _nothing

    def admit(self, request: Any) -> None:
        """Take a reserved task; it goes to the pool when a slot is free and its start is recorded."""
        if getattr(request.message, "fence", None) is None:
            self.on_passed()
            self.process(request)
        elif self.start_now is None:
            self._waiting.append(request)
        elif self.admits(request):
            self._pass(request, self.start_now(_start(request)))

    def due(self) -> list[Start]:
        """Return the starts to be recorded now, for as many tasks as the pool has free slots."""
        if not self._waiting:
            return []
        room = self._room()
        starts: list[Start] = []
        while self._waiting and len(starts) < room:
            request = self._waiting.popleft()
            try:
                is_admitted = self._is_admitted(request)
            except Exception:
                # Nobody will ask for the starts of those before it: they wait again, in their order.
                self.undo()
                raise
            if not is_admitted:
                continue
            start = _start(request)
            self._starting[start.id] = request
            starts.append(start)
        return starts

    def _is_admitted(self, request: Any) -> bool:
        try:
            # Off the list before it is asked: one that is sent away must not count as one that has ended.
            return self.admits(request)
        except Exception:
            self._waiting.appendleft(request)
            raise

    def has_due(self) -> bool:
        """Whether a task waits for which there is a free slot."""
        if not self._waiting:
            return False
        slots, handed = self.slots(), self._handed()
        ahead = self.pace.ahead(self._passed_count - handed)
        # With starts on record ahead, it is soon enough to record more when half of them have begun.
        return slots + ahead - handed >= max(ahead // 2, 1)

    @property
    def capacity(self) -> int:
        """Return how many tasks the pool has a use for: one for each slot, and what those end within a moment."""
        return self.slots() + (self.pace.held(self._passed_count - self._handed()) if self.prefetches else 0)

    @property
    def free(self) -> int:
        """Return how many more tasks the pool has a use for; negative while it shrinks."""
        return self.capacity - len(state.reserved_requests)

    @property
    def is_starving(self) -> bool:
        """Whether nothing waits here, so that the pool will soon have nothing to do."""
        return not self._waiting

    def _room(self) -> int:
        handed = self._handed()
        return self.slots() + self.pace.ahead(self._passed_count - handed) - handed

    def _handed(self) -> int:
        return len(state.reserved_requests) - len(self._waiting)

    def begin(self, outcomes: Mapping[DeliveryId, Outcome]) -> None:
        """Let those tasks run whose start was recorded, and drop those that are another worker's by now."""
        for delivery, outcome in outcomes.items():
            request = self._starting.pop(delivery, None)
            if request is not None:
                self._pass(request, outcome)

    def undo(self) -> None:
        """Let those wait again whose start could not be recorded: the broker did not answer."""
        self._waiting.extendleft(reversed(self._starting.values()))
        self._starting.clear()

    def clear(self) -> list[DeliveryId]:
        """Forget what waits and return it: the connection is gone or the worker stops, so it goes back to the broker."""
        requests = (*self._waiting, *self._starting.values())
        self._waiting.clear()
        self._starting.clear()
        for request in requests:
            self._forget(request)
        return [request.message.delivery_tag for request in requests]

    def drop(self, lost: Collection[DeliveryId]) -> None:
        """Forget those that wait and are another worker's now."""
        gone = [request for request in self._waiting if request.message.delivery_tag in lost]
        for request in gone:
            self._waiting.remove(request)
            self._forget(request)

    def _pass(self, request: Any, outcome: Outcome) -> None:
        if outcome is Outcome.DONE:
            self._passed_count += 1
            if request.message.consumer.is_redelivered(request.message.delivery_tag):
                # Celery looks here before it trusts a result that the task may have stored before it died.
                request.delivery_info["redelivered"] = True
            self.on_passed()
            self.process(request)
        else:
            self._forget(request)

    def _forget(self, request: Any) -> None:
        state.task_ready(request)
        self.dismisses(request)


def _nothing() -> None:
    """Nobody asked."""


def _nobody(_: Any) -> None:
    """Nobody gave it anything."""


def _all(_: Any) -> bool:
    return True


def _start(request: Any) -> Start:
    message = request.message
    return Start(id=message.delivery_tag, message_id=message.fence["message"])
