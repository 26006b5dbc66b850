"""Waiting for what other processes do."""

import threading
from collections.abc import Callable

from hive.clock import SystemClock

#: Seconds between two looks.
LOOK_EVERY_S = 0.02


def until(condition: Callable[[], object], timeout_s: float) -> bool:
    """Return once ``condition`` is true, or after ``timeout_s`` seconds.

    Returns:
        Whether it became true.
    """
    clock, pause = SystemClock(), threading.Event()
    deadline_s = clock.monotonic_s() + timeout_s
    while not condition():
        if clock.monotonic_s() >= deadline_s:
            return False
        pause.wait(LOOK_EVERY_S)
    return True
