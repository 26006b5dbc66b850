"""Waiting for a condition across processes."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout_s: float = 60.0, every_s: float = 0.02, what: str = "") -> T:
    """Return the first true value of ``condition``; fail with what was seen last after ``timeout_s``."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what or condition}; last seen {value!r}")
        pause.wait(every_s)
