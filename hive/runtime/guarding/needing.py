"""What tasks declare to need of their host: booked before they take a slot, given back when they end.

What a declaration does not name is not booked. A task that does not fit waits on the broker, where a worker of another host
with room may take it. Nobody keeps a place for it meanwhile: one that needs much can wait long where many that need little
come and go.
"""

import logging
import os
from typing import Any

from hive.agents.types import Resources
from hive.clock import Clock, SystemClock
from hive.guards.guard import RUN, Answer, Guard, GuardedCall, Verdict
from hive.resources.booking import BookingRefused, Bookings
from hive.resources.host import host_name, read_host
from hive.store.faults import BrokerGoneError

logger = logging.getLogger(__name__)

#: When a task that does not fit is asked again.
AGAIN_MS = 1_000

#: Seconds until the log says again that a task can never run here.
TOLD_AGAIN_S = 60.0


class HostBookings:
    """``app.bookings``: books what this host has, for tasks that declare needs and for whoever asks.

    Args:
        app: whose broker keeps the bookings.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._own: Bookings | None = None
        self._pid = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._app,)

    @property
    def of_process(self) -> Bookings:
        """The bookings of this process; one that was forked has its own."""
        if self._own is None or self._pid != os.getpid():
            capacity = read_host(self._app.settings.home).capacity
            self._own = Bookings(lambda: self._app.access.store, host_name(), capacity)
            self._pid = os.getpid()
        return self._own

    def book(self, holder: str, needs: Resources) -> BookingRefused | None:
        """Book for a holder, such as an agent, in place of what it holds; returns what lacks, or None: it is booked.

        It is held until it is released or this process ends; what was held before stays if it is refused.

        Raises:
            BrokerGoneError: the broker is away.
        """
        return self.of_process.book(holder, needs)

    def release(self, holder: str) -> None:
        """Give back what a holder has booked in this process. A repeat does nothing."""
        self.of_process.release(holder)

    def broker_time_ms(self) -> int:
        """Return the broker's time: by a host's clock that is behind, what waits a second would be asked again at once.

        Raises:
            BrokerGoneError: the broker is away.
        """
        return int(self._app.access.store.server_time_ms())


class TaskNeeds:
    """What a task declares to need, as its guard.

    Args:
        bookings: returns those of this process.
        needs: of the task.
        clock: for how often the log says that it can never run here.
    """

    name = "needs"

    def __init__(self, bookings: HostBookings, needs: Resources, clock: Clock | None = None) -> None:
        self._bookings, self._needs, self._clock = bookings, needs, clock or SystemClock()
        self._tells_from_s = float("-inf")

    def ask(self, call: GuardedCall) -> Verdict:
        """Book what the task needs, or say that it has to wait; while the broker is away it runs without."""
        try:
            refused = self._bookings.book(call.holder, self._needs)
            if refused is None:
                return RUN
            due_ms = self._bookings.broker_time_ms() + AGAIN_MS
        except BrokerGoneError as error:
            logger.warning("task %s[%s] runs without what it needs being booked: %s", call.task, call.id, error)
            return RUN
        if refused.is_hopeless and self._clock.monotonic_s() >= self._tells_from_s:
            self._tells_from_s = self._clock.monotonic_s() + TOLD_AGAIN_S
            logger.warning("task %s[%s] can never run here, it waits for another host: %s", call.task, call.id, refused)
        return Verdict(answer=Answer.WAIT, guard=self.name, reason=str(refused), due_ms=due_ms)

    def release(self, call: GuardedCall) -> None:
        """Give back what was booked. A repeat does nothing."""
        self._bookings.release(call.holder)

    def ended(self, call: GuardedCall, error: BaseException | None) -> None:  # noqa: ARG002 - however it ended
        """Give back what was booked."""
        self.release(call)


def booked_needs(app: Any, task: Any) -> tuple[Guard, ...]:
    """Return the guard of a task that declares what it needs, for admission."""
    needs: Resources | None = getattr(task, "needs", None)
    return () if needs is None else (TaskNeeds(app.bookings, needs),)
