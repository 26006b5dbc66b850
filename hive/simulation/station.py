"""A queue and the slots that serve it: the part of a simulation that every strategy has in common."""

import heapq
from array import array
from collections import deque
from collections.abc import Iterable


class Station:
    """First come, first served, by a number of slots that may change; time moves when it is told to.

    Tasks are started lazily: :meth:`advance` starts what can start before an instant, so that a change of slots at
    that instant applies to all that still wait. This is exact, and costs one heap operation a task; several stations
    side by side (a lane for each worker) are advanced in turn to the same instants.

    Args:
        slots: at the start, ready at time 0.
        speed: service times are divided by it.
        start_delay_s: from the order of a slot until it is ready; it is paid for from the order on.
    """

    #: Service times noted for one advance at most; a policy learns them once the tasks have ended.
    NOTED = 50

    def __init__(self, slots: int = 0, *, speed: float = 1.0, start_delay_s: float = 0.0) -> None:
        self._speed, self._start_delay_s = speed, start_delay_s
        self._free_at_s = [0.0] * slots
        self._starting: deque[float] = deque()
        self._arrived: deque[tuple[float, float]] = deque()
        self._running: list[tuple[float, float]] = []
        self._now_s = self._paid_until_s = 0.0
        self.waits_s = array("d")
        self.slot_seconds = 0.0
        self.busy_seconds = 0.0

    @property
    def slots(self) -> int:
        """Slots that serve or start; those that drain are not counted."""
        return len(self._free_at_s)

    @property
    def backlog(self) -> int:
        """Tasks that wait."""
        return len(self._arrived)

    @property
    def busy(self) -> int:
        """Slots that run a task now."""
        while self._starting and self._starting[0] <= self._now_s:
            self._starting.popleft()
        # A slot that is still starting counts as taken in the heap, though no task runs in it.
        return max(0, sum(1 for free_s in self._free_at_s if free_s > self._now_s) - len(self._starting))

    @property
    def oldest_wait_s(self) -> float:
        """How long the first of the waiting tasks has waited."""
        return self._now_s - self._arrived[0][0] if self._arrived else 0.0

    def arrive(self, tasks: Iterable[tuple[float, float]]) -> None:
        """Take tasks in: (arrival, service time) in seconds, by rising arrival, none before what it has advanced to."""
        self._arrived.extend(tasks)

    def advance(self, until_s: float) -> None:
        """Start everything that can start before an instant."""
        arrived, free, waits, speed = self._arrived, self._free_at_s, self.waits_s, self._speed
        replace, busy_s, noted = heapq.heapreplace, 0.0, 0
        while arrived and free:
            arrival_s, service_s = arrived[0]
            begin_s = max(arrival_s, free[0])
            if begin_s >= until_s:
                break
            arrived.popleft()
            taken_s = service_s / speed
            replace(free, begin_s + taken_s)
            waits.append(begin_s - arrival_s)
            busy_s += taken_s
            if noted < self.NOTED:
                noted += 1
                heapq.heappush(self._running, (begin_s + taken_s, taken_s))
        self.busy_seconds += busy_s
        self._pay(until_s)
        self._now_s = until_s

    def resize(self, slots: int) -> None:
        """Order or drain slots, now. Those that are free soonest go first; none stops a task that it runs."""
        while len(self._free_at_s) > slots:
            free_s = heapq.heappop(self._free_at_s)
            self.slot_seconds += max(0.0, free_s - self._now_s)
            if free_s in self._starting:
                self._starting.remove(free_s)
        ready_s = self._now_s + self._start_delay_s
        for _ in range(slots - len(self._free_at_s)):
            heapq.heappush(self._free_at_s, ready_s)
            if self._start_delay_s:
                self._starting.append(ready_s)

    def ended(self) -> list[float]:
        """Return service times, in seconds, of a sample of the tasks that have ended since the last call."""
        found = []
        while self._running and self._running[0][0] <= self._now_s:
            found.append(heapq.heappop(self._running)[1])
        return found

    def give_up(self) -> int:
        """Count what still waits as having waited until now; return how many that are."""
        count = len(self._arrived)
        self.waits_s.extend(self._now_s - arrival_s for arrival_s, _ in self._arrived)
        self._arrived.clear()
        return count

    def _pay(self, until_s: float) -> None:
        self.slot_seconds += len(self._free_at_s) * max(0.0, until_s - self._paid_until_s)
        self._paid_until_s = until_s
