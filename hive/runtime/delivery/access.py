"""The broker as the tasks of a process reach it, beside the connections that kombu makes for publishing.

A step that a task presents with its fence is safe to repeat, so it is repeated while the broker is away: a body that
ends during an outage keeps its result and its next steps. Only the broker that gave a delivery knows its token, so with
several addresses the step goes to that one.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from kombu.exceptions import OperationalError

from hive.clock import Clock, SystemClock
from hive.runtime.delivery.fence import Fence
from hive.runtime.delivery.joint_steps import JointSteps
from hive.store.faults import BrokerGoneError
from hive.store.store import Store
from hive.store.values import Outcome

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LOOPBACK = {"localhost", "127.0.0.1", "::1", None}

#: Seconds between two tries while the broker is away: the wait doubles from the first to the second.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2.0

#: Seconds after which a task no longer waits for the broker; its message goes back to the queue instead.
AWAY_MAX_S = 600.0


class Access:
    """Channels for each process that uses the application: a pool child must not share its parent's connections.

    Args:
        app: the application whose broker it is.
        clock: bounds how long a task waits for the broker.
    """

    def __init__(self, app: Any, clock: Clock | None = None) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._begin()

    def _begin(self) -> None:
        self._mutex = threading.Lock()
        #: By address of the broker; the empty one is whichever kombu reaches first.
        self._channels: dict[str, Any] = {}
        self._joint = JointSteps()
        self._pid = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._app,)

    @property
    def channel(self) -> Any:
        """A channel of this process, connected on first use.

        Raises:
            BrokerGoneError: the broker cannot be reached.
        """
        return self._channel_to("")

    @property
    def store(self) -> Store:
        """The store of this process; threads may share it."""
        store: Store = self.channel.store
        return store

    def present(self, fence: Fence, step: Callable[[Store], Outcome], *, jointly: bool = False) -> Outcome:
        """Carry out a step that changes the fence's delivery; while the broker is away, repeat it.

        Args:
            fence: of the delivery.
            step: calls the store once.
            jointly: whether it may go with the steps of other threads, in one round trip; then it may be repeated
                unasked, and an ``ALREADY`` may be its own work.

        Returns:
            ``DONE`` also where a reply was lost and the repeat finds that the delivery has ended by this step.

        Raises:
            BrokerGoneError: the broker stayed away for ten minutes.
        """
        outcome, was_repeated = self.repeated(fence, partial(self._jointly, step) if jointly else step)
        return Outcome.DONE if was_repeated and outcome is Outcome.ALREADY else outcome

    def is_current(self, fence: Fence, task_id: str) -> bool:
        """Whether the delivery is still this process's; says in the log if it is not.

        Raises:
            BrokerGoneError: the broker stayed away for ten minutes.
        """
        outcome, _ = self.repeated(fence, lambda store: store.check(fence.consumer, fence.delivery))
        if outcome is not Outcome.DONE:
            logger.warning("task %s: delivery %d is no longer ours; nothing follows from it", task_id, fence.token)
        return outcome is Outcome.DONE

    def is_broker(self, fence: Fence, parameters: Mapping[str, Any]) -> bool:
        """Whether the connection parameters of a Redis result backend lead to the database the delivery is from."""
        pool, _ = self.repeated(fence, lambda store: store.client.connection_pool)
        if getattr(pool, "service_name", None) is not None:
            return False
        return _place(pool.connection_kwargs) == _place(parameters)

    def _jointly(self, step: Callable[[Store], Outcome], store: Store) -> Outcome:
        outcome: Outcome = self._joint.run(store, step)
        return outcome

    def repeated(self, fence: Fence, step: Callable[[Store], T]) -> tuple[T, bool]:
        """Carry out a step that is safe to repeat, again and again while the broker is away.

        Returns:
            What the step returns, and whether it took more than one try.

        Raises:
            BrokerGoneError: the broker stayed away for ten minutes.
        """
        pause = threading.Event()
        give_up_s = self._clock.monotonic_s() + AWAY_MAX_S
        wait_s, was_repeated = FIRST_WAIT_S, False
        while True:
            try:
                return step(self._channel_to(fence.broker).store), was_repeated
            except BrokerGoneError as error:
                if self._clock.monotonic_s() > give_up_s:
                    raise
                if not was_repeated:
                    logger.warning("a task waits for the broker of queue %r: %s", fence.queue, error)
            self._forget(fence.broker)
            pause.wait(wait_s)
            wait_s, was_repeated = min(wait_s * 2, LONGEST_WAIT_S), True

    def _channel_to(self, address: str) -> Any:
        if self._pid != os.getpid():
            # A thread of the parent may have held the lock when it forked, and would hold it here for ever.
            self._begin()
        with self._mutex:
            if address not in self._channels:
                self._channels[address] = self._connect(address)
            return self._channels[address]

    def _forget(self, address: str) -> None:
        with self._mutex:
            self._channels.pop(address, None)

    def _connect(self, address: str) -> Any:
        connection = self._app.connection_for_write()
        if not address:
            return _opened(connection)
        for url in connection.alt or [None]:
            try:
                channel = _opened(self._app.connection_for_write(url))
            except BrokerGoneError as error:
                gone = error
                continue
            if channel.address == address:
                return channel
            gone = BrokerGoneError(f"no broker of the application has the address {address}")
        raise gone


def _opened(connection: Any) -> Any:
    try:
        return connection.channel()
    except (OperationalError, *connection.recoverable_connection_errors) as error:
        raise BrokerGoneError(f"{connection.as_uri()} cannot be reached: {error}") from error


def _place(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    path, database = parameters.get("path"), int(parameters.get("db") or 0)
    if path:
        return path, database
    host = parameters.get("host")
    return ("" if host in _LOOPBACK else host), int(parameters.get("port") or 6379), database
