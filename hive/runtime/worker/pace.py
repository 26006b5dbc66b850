"""How fast a pool ends tasks, and so how many may be held, and be on record as started, before their slots are free."""

from hive.clock import Clock

#: Work of this many seconds may be on record as started ahead of the pool: enough to bridge a round trip to the broker
#: and a turn of the event loop, and short enough that what a dying worker never began hardly counts.
AHEAD_S = 0.02

#: Work of this many seconds is held besides what runs: enough to claim many short tasks in one round trip, and so little
#: that no task waits long here, behind another that takes its time, while workers elsewhere are free.
HELD_S = 0.1

#: Longest the pool's pace is taken for granted without a task having ended.
FORGET_S = 0.25

#: Seconds over which the pace is measured at least. In less, two tasks that happen to end together look like a fast pool.
SAMPLE_S = 0.01


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
        return int(self._measured(ended_count) * AHEAD_S)

    def held(self, ended_count: int) -> int:
        """Return how many tasks beyond the slots are worth holding now.

        Args:
            ended_count: as above.
        """
        return int(self._measured(ended_count) * HELD_S)

    def _measured(self, ended_count: int) -> float:
        now_s = self._clock.monotonic_s()
        passed_s = now_s - self._seen_s
        if ended_count != self._seen_count and passed_s >= SAMPLE_S:
            rate = (ended_count - self._seen_count) / passed_s
            self._rate = rate if rate < self._rate else (self._rate + rate) / 2
            self._seen_s, self._seen_count = now_s, ended_count
        elif passed_s > FORGET_S:
            self._rate = 0.0
        return self._rate
