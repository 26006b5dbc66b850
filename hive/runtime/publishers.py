"""The producers of an application, each lent to one call at a time."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hive.transport.producer import DirectProducer


class Publishers:
    """Lends producers as Celery's own pool does, and not more of them, but without its locks and its clean-up.

    They go with Celery's pool of connections: what makes Celery forget that (``app.close()``, a fork) ends these too.

    Args:
        app: the application whose broker they publish to.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._pool: Any = None
        self._pid = 0
        self._mutex = threading.Lock()
        #: Idle producers; None stands for one that has not been made.
        self._idle: deque[DirectProducer | None] = deque()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._app,)

    @contextmanager
    def lend(self) -> Iterator[DirectProducer | None]:
        """Lend a producer; None if as many as ``broker_pool_limit`` are in use, or the pool is switched off."""
        idle = self._idle_of_now()
        try:
            producer = idle.pop()
        except IndexError:
            yield None
            return
        try:
            if producer is None:
                producer = DirectProducer(self._app.connection_for_write())
            yield producer
        finally:
            idle.append(producer)

    def _idle_of_now(self) -> deque[DirectProducer | None]:
        pool = self._app.pool
        if pool is not self._pool or self._pid != os.getpid():
            with self._mutex:
                if pool is not self._pool or self._pid != os.getpid():
                    self._idle = deque([None] * (pool.limit or 0))
                    self._pool, self._pid = pool, os.getpid()
        return self._idle
