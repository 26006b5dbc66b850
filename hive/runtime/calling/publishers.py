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

    Their number is the application's own ``broker_pool_limit``. That of kombu's pools is the whole process's: it is
    whatever another application asked for while one of its connections is in use.

    Each holds two connections to the broker: the one kombu opens to see whether the broker answers, and the one that is
    published over. A call that finds all of them lent takes one of Celery's pool, so that an application's threads hold
    twice two for each of ``broker_pool_limit`` at most.

    Args:
        app: the application whose broker they publish to.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._pid = 0
        self._mutex = threading.Lock()
        #: Idle producers, None in the place of one that has not been made. None for all: nothing was lent in this process.
        self._idle: deque[DirectProducer | None] | None = None

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

    def close(self) -> None:
        """Close the connections of all that are not lent. The next call makes new ones; a repeat does nothing."""
        if self._pid != os.getpid():
            # After a fork they are the parent's, and so is the lock.
            return
        with self._mutex:
            idle, self._idle = self._idle, None
        while idle:
            producer = idle.pop()
            if producer is not None:
                producer.connection.release()

    def _idle_of_now(self) -> deque[DirectProducer | None]:
        idle = self._idle
        if idle is not None and self._pid == os.getpid():
            return idle
        if self._pid != os.getpid():
            # A thread of the parent may have held the lock when it forked, and would hold it here for ever.
            self._mutex, self._idle, self._pid = threading.Lock(), None, os.getpid()
        with self._mutex:
            if self._idle is None:
                self._idle = deque([None] * (self._app.conf.broker_pool_limit or 0))
            return self._idle
