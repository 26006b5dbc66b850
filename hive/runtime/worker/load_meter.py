"""Measuring the load of a worker process."""

from collections.abc import Callable
from typing import Any

import psutil
from celery.worker import state

from hive.clock import Clock
from hive.routing.keys import RecentKeys
from hive.routing.report import LoadReport

#: Seconds in which what was finished counts half as much.
HALF_LIFE_S = 20.0


class LoadMeter:
    """Takes the load of a worker, and remembers what it finished lately.

    Args:
        slots: returns how many tasks it runs at a time.
        failed: returns how many of its tasks have failed.
        keys: those it had last.
        clock: for how long ago that was.
    """

    def __init__(self, slots: Callable[[], int], failed: Callable[[], int], keys: RecentKeys, clock: Clock) -> None:
        self._slots, self._failed, self._keys, self._clock = slots, failed, keys, clock
        self._last = (clock.monotonic_s(), _finished(), failed())
        self._busy_s = self._done = self._bad = 0.0
        psutil.cpu_percent()

    def measure(self) -> LoadReport:
        """Return the load at present; what was finished is that since the last call, and less and less of what was before."""
        now_s, finished, failed = self._clock.monotonic_s(), _finished(), self._failed()
        past_s, past_finished, past_failed = self._last
        self._last = (now_s, finished, failed)
        busy, held = len(state.active_requests), len(state.reserved_requests)
        kept = 0.5 ** ((now_s - past_s) / HALF_LIFE_S)
        self._busy_s = self._busy_s * kept + busy * (now_s - past_s)
        self._done = self._done * kept + (finished - past_finished)
        self._bad = self._bad * kept + (failed - past_failed)
        memory = psutil.virtual_memory()
        return LoadReport(
            slots=self._slots(),
            busy=busy,
            held=max(held - busy, 0),
            rate=self._done / self._busy_s if self._done > 0 and self._busy_s > 0 else None,
            failed_share=min(self._bad / self._done, 1.0) if self._done > 0 else 0.0,
            cpu=psutil.cpu_percent() / 100,
            memory=memory.percent / 100,
            free_memory_mb=memory.available / 1_048_576,
            finished=finished,
            keys=self._keys.written(),
        )


def _finished() -> int:
    """Return how many tasks this process has begun and not at hand any more."""
    return sum(state.total_count.values()) - len(state.active_requests)


def slots_of(consumer: Any) -> int:
    """Return how many tasks a worker runs at a time."""
    return int(consumer.pool.num_processes or 1)
