"""Which queues the channels of a consumer want, and which it may leave."""

import threading
from collections import Counter


class Interest:
    """Counts the channels that consume each queue. May be used by several threads."""

    def __init__(self) -> None:
        self._wanted: Counter[str] = Counter()
        self._cancelled: set[str] = set()
        self._ttls_ms: dict[str, int] = {}
        self._mutex = threading.Lock()

    @property
    def cancelled(self) -> frozenset[str]:
        """The queues that were wanted and no longer are, until :meth:`left`."""
        with self._mutex:
            return frozenset(self._cancelled)

    def left(self, queue: str) -> None:
        """Note that the consumer is no longer registered on a queue, so that it need not be left again."""
        with self._mutex:
            self._cancelled.discard(queue)

    def want(self, queue: str, ttl_ms: int | None = None) -> None:
        """Note that one more channel consumes a queue.

        Args:
            queue: which.
            ttl_ms: how long it is kept without use (``x-expires``); None: for ever.
        """
        with self._mutex:
            self._wanted[queue] += 1
            self._cancelled.discard(queue)
            if ttl_ms is not None:
                self._ttls_ms[queue] = ttl_ms

    def cancel(self, queue: str) -> None:
        """Note that a channel consumes a queue no more; after the last one the lease thread leaves it."""
        with self._mutex:
            self._wanted[queue] -= 1
            if self._wanted[queue] <= 0:
                del self._wanted[queue]
                self._ttls_ms.pop(queue, None)
                self._cancelled.add(queue)

    def ttls_ms(self) -> dict[str, int]:
        """Return how long the queues with ``x-expires`` that are consumed here are kept without use, in ms."""
        with self._mutex:
            return dict(self._ttls_ms)
