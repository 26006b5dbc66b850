"""How fast a pool ends tasks, and so how many starts may be on record before their slots are free."""

from hive.clock import Clock

#: Work of this many seconds may be on record as started ahead of the pool: enough to bridge a round trip to the broker
#: and a turn of the event loop, and short enough that what a dying worker never began hardly counts.
AHEAD_S = 0.02

#: Longest the pool's pace is taken for granted without a task having ended.
FORGET_S = 0.25

#: Seconds over which the pace is measured at least.
SAMPLE_S = 0.002


class Pace:
    """Tasks ended per second, from the last few milliseconds in which any did.

    Args:
        clock: for the time between two looks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen_s = clock.monotonic_s()
        self._seen_count = 0
        self._rate = 0.0

    def ahead(self, ended_count: int) -> int:
        """Return how many tasks beyond the free slots may start now.

        Args:
            ended_count: tasks that have ended since the pool was started.
        """
        now_s = self._clock.monotonic_s()
        passed_s = now_s - self._seen_s
        if ended_count != self._seen_count and passed_s >= SAMPLE_S:
            rate = (ended_count - self._seen_count) / passed_s
            self._rate = rate if rate < self._rate else (self._rate + rate) / 2
            self._seen_s, self._seen_count = now_s, ended_count
        elif passed_s > FORGET_S:
            self._rate = 0.0
        return int(self._rate * AHEAD_S)
