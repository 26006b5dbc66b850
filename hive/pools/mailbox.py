"""What the pool has to tell the worker, told on the worker's own thread."""

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger

from hive.pools.loop import LoopThread

logger = get_logger(__name__)


class Mailbox:
    """Calls posted by the loop and its threads, made in order by the worker's consumer thread.

    The worker's books (active requests, events, acknowledgements) are not made for several threads, and a broker that
    hangs must hang the consumer, never the loop. Many calls cost one wake-up. Without a hub to wake, as under gevent,
    the posting thread makes the calls itself, as Celery's threads pool does.

    Args:
        loop: where most calls come from.
    """

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._asked = self._woken = False
        self._has_hub = False
        self._posted = threading.Event()
        self._turn = threading.RLock()
        # A pipe, for what the hub runs after its poll is followed by acknowledgements before the next one; what it runs
        # at `call_soon` is not, and they would wait for up to a second.
        self._heard, self._told = os.pipe()
        os.set_blocking(self._heard, False)

    def use_hub(self, hub: Any) -> None:
        """Deliver on the thread that runs ``hub``, from now on; again after each of its resets."""
        hub.add_reader(self._heard, self._hear)
        self._has_hub = True
        self._wake()

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Have ``function`` called soon; safe from any thread.

        The loop wakes the consumer once it has run all that is ready, so that many short tasks are reported together.
        """
        self._calls.append((function, args))
        if not self._loop.is_current:
            # What the loop was asked to do may wait for long: a task may be keeping it from turning.
            if not self._woken:
                self._wake()
        elif not self._asked:
            self._asked = True
            self._loop.loop.call_soon(self._wake)

    def deliver(self) -> None:
        """Make all calls that are due; an error of one is logged and does not keep the others back."""
        with self._turn:
            self._asked = self._woken = False
            self._posted.clear()
            while self._calls:
                function, args = self._calls.popleft()
                try:
                    function(*args)
                except Exception:
                    logger.exception("the worker could not take a report of its pool: %r", function)

    def wait(self, timeout_s: float) -> None:
        """Wait until something is posted, at most ``timeout_s``, and deliver it; for a worker that stops."""
        self._posted.wait(timeout_s)
        self.deliver()

    def close(self) -> None:
        """Let go of the pipe, when nobody posts any more."""
        self._has_hub = False
        os.close(self._heard)
        os.close(self._told)

    def _hear(self) -> None:
        os.read(self._heard, 4096)
        self.deliver()

    def _wake(self) -> None:
        self._woken = True
        self._posted.set()
        if self._has_hub:
            os.write(self._told, b"\0")
        else:
            self.deliver()
