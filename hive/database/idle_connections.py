"""Connections to a database that are kept between calls."""

import os
import threading
from typing import Generic, Protocol, TypeVar

#: Connections that are kept for the next calls; more than that are closed when they are given back.
KEPT_COUNT = 4


class Closable(Protocol):
    """A connection to whatever database."""

    def close(self) -> None:
        """End it."""


ConnectionT = TypeVar("ConnectionT", bound=Closable)


class IdleConnections(Generic[ConnectionT]):
    """Connections that nobody uses now. May be shared by threads.

    They belong to the process that opened them. A forked child calls :meth:`leave_to_parent` before it takes any: it must
    neither use nor close what it inherited, because that would end the session of its parent.
    """

    def __init__(self) -> None:
        self._inherited: list[ConnectionT] = []
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._idle: list[ConnectionT] = []

    def are_ours(self) -> bool:
        """Tell whether this process opened them."""
        return self._pid == os.getpid()

    def leave_to_parent(self) -> bool:
        """Begin anew in a forked child; tells whether it did. A repeat does nothing."""
        if self.are_ours():
            return False
        # Kept, because what is collected is closed.
        self._inherited += self._idle
        self._begin()
        return True

    def take(self) -> ConnectionT | None:
        """Return one of them, which is the caller's from now on; None: there is none."""
        with self._mutex:
            return self._idle.pop() if self._idle else None

    def give_back(self, connection: ConnectionT) -> None:
        """Keep a connection for the next call, or close it if there are enough."""
        with self._mutex:
            if len(self._idle) < KEPT_COUNT:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close them all; those of a parent stay open."""
        if not self.are_ours():
            return
        with self._mutex:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
