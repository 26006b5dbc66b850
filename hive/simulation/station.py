"""A queue and the slots that serve it: the part of a simulation that every strategy has in common."""

from array import array
from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace


class Station:
    """First come, first served, by a number of slots that may change; time moves when it is told to.

    Tasks are started lazily: :meth:`advance` starts what can start before an instant, so that a change of slots at
    that instant applies to all that still wait. This is exact, and costs two heap operations a task.

    Args:
        slots: at the start, ready at time 0.
        speed: service times are divided by it.
        start_delay_s: from the order of a slot until it is ready; it is paid for from the order on.
        samples: service times noted for one advance at most, told once their tasks have ended; 0: none is asked for.
    """

    def __init__(self, slots: int = 0, *, speed: float = 1.0, start_delay_s: float = 0.0, samples: int = 50) -> None:
        self._speed, self._start_delay_s, self._samples = speed, start_delay_s, samples
        self._idle = slots
        #: When each of the other slots is free.
        self._free_at_s: list[float] = []
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
        return self._idle + len(self._free_at_s)

    @property
    def backlog(self) -> int:
        """Tasks that wait."""
        return len(self._arrived)

    @property
    def busy(self) -> int:
        """Slots that run a task now."""
        # One that is still starting is not free either, though no task runs in it.
        return len(self._free_at_s) - len(self._starting)

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
        busy_s, noted, idle, now_s = 0.0, 0, self._idle, self._now_s
        while arrived:
            arrival_s, service_s = arrived[0]
            if arrival_s >= until_s:
                break
            while free and free[0] <= arrival_s:
                heappop(free)
                idle += 1
            # A slot that came free just now may serve what has waited for it.
            begin_s = max(arrival_s, now_s) if idle else free[0] if free else until_s
            if begin_s >= until_s:
                break
            arrived.popleft()
            taken_s = service_s / speed
            end_s = begin_s + taken_s
            if idle:
                idle -= 1
                heappush(free, end_s)
            else:
                heapreplace(free, end_s)
            waits.append(begin_s - arrival_s)
            busy_s += taken_s
            if noted < self._samples:
                noted += 1
                heappush(self._running, (end_s, taken_s))
        while free and free[0] <= until_s:
            heappop(free)
            idle += 1
        while self._starting and self._starting[0] <= until_s:
            self._starting.popleft()
        self._idle = idle
        self.busy_seconds += busy_s
        self.slot_seconds += self.slots * max(0.0, until_s - self._paid_until_s)
        self._paid_until_s = self._now_s = until_s

    def resize(self, slots: int) -> None:
        """Order or drain slots, now. Those that are free soonest go first; none stops a task that it runs."""
        fewer, more = self.slots - slots, slots - self.slots
        unused = min(max(fewer, 0), self._idle)
        self._idle -= unused
        for _ in range(fewer - unused):
            free_s = heappop(self._free_at_s)
            self.slot_seconds += free_s - self._now_s
            if free_s in self._starting:
                self._starting.remove(free_s)
        if not self._start_delay_s:
            self._idle += max(more, 0)
            return
        ready_s = self._now_s + self._start_delay_s
        for _ in range(more):
            heappush(self._free_at_s, ready_s)
            self._starting.append(ready_s)

    def ended(self) -> list[float]:
        """Return service times, in seconds, of a sample of the tasks that have ended since the last call."""
        found = []
        while self._running and self._running[0][0] <= self._now_s:
            found.append(heappop(self._running)[1])
        return found

    def give_up(self) -> int:
        """Count what still waits as having waited until now; return how many that are."""
        count = len(self._arrived)
        self.waits_s.extend(self._now_s - arrival_s for arrival_s, _ in self._arrived)
        self._arrived.clear()
        return count
