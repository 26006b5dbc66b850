"""What the pool has to tell the worker, told on the worker's own thread."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from celery.utils.log import get_logger

logger = get_logger(__name__)


class Mailbox:
    """Calls posted by the loop and its threads, made in order by the worker's consumer thread.

    The worker's books (active requests, events, acknowledgements) are not made for several threads, and a broker that
    hangs must hang the consumer, never the loop. Many calls cost one wake-up. Without a hub to wake, as under gevent,
    the posting thread makes the calls itself, as Celery's threads pool does.
    """

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._asked = False
        self._hub: Any = None
        self._posted = threading.Event()
        self._turn = threading.RLock()

    def use_hub(self, hub: Any) -> None:
        """Deliver on the thread that runs ``hub``, from now on."""
        self._hub = hub
        self._wake()

    def post(self, function: Callable[..., Any], *args: Any) -> None:
        """Have ``function`` called soon; safe from any thread."""
        self._calls.append((function, args))
        if not self._asked:
            self._asked = True
            self._wake()

    def deliver(self) -> None:
        """Make all calls that are due; an error of one is logged and does not keep the others back."""
        with self._turn:
            self._asked = False
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

    def _wake(self) -> None:
        self._posted.set()
        if self._hub is not None:
            self._hub.call_soon(self.deliver)
        else:
            self.deliver()
