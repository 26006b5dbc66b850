"""The broker as the tasks of a process reach it, beside the connections that kombu makes for publishing."""

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from hive.runtime.fence import Fence
from hive.store.store import Store
from hive.store.values import Outcome

logger = logging.getLogger(__name__)

_LOOPBACK = {"localhost", "127.0.0.1", "::1", None}


class Access:
    """A store for each process that uses the application: a pool child must not share its parent's connections.

    Args:
        app: the application whose broker it is.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._mutex = threading.Lock()
        self._channel: Any = None
        self._pid = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._app,)

    @property
    def channel(self) -> Any:
        """A channel of this process, connected on first use.

        Raises:
            OperationalError: the broker cannot be reached.
        """
        with self._mutex:
            if self._channel is None or self._pid != os.getpid():
                self._channel = self._app.connection_for_write().channel()
                self._pid = os.getpid()
            return self._channel

    @property
    def store(self) -> Store:
        """The store of this process; threads may share it."""
        store: Store = self.channel.store
        return store

    def is_broker(self, parameters: Mapping[str, Any]) -> bool:
        """Whether the connection parameters of a Redis result backend lead to the broker's own database."""
        known = self.channel.pool.connection_kwargs
        if getattr(self.channel.pool, "service_name", None) is not None:
            return False
        return _place(known) == _place(parameters)

    def is_current(self, fence: Fence, task_id: str) -> bool:
        """Whether the delivery is still this process's; says in the log if it is not."""
        outcome = self.store.check(fence.consumer, fence.delivery)
        if outcome is not Outcome.DONE:
            logger.warning("task %s: delivery %d is no longer ours; nothing follows from it", task_id, fence.token)
        return outcome is Outcome.DONE


def _place(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    path, database = parameters.get("path"), int(parameters.get("db") or 0)
    if path:
        return path, database
    host = parameters.get("host")
    return ("" if host in _LOOPBACK else host), int(parameters.get("port") or 6379), database
