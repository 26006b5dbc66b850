"""The consumers of a process: one for each broker, whatever becomes of connections and channels."""

import os
import platform
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from hive.clock import Clock, SystemClock
from hive.settings.parts import DeliverySettings
from hive.store.lane import ServedLanes
from hive.store.store import Store
from hive.store.values import ConsumerInfo
from hive.transport.consumer import Consumer
from hive.transport.lease import Lease, StockRecords

#: Service times that are kept for whoever takes them.
SERVICES_KEPT = 256


@dataclass(slots=True, kw_only=True)
class Member:
    """A consumer and the thread that keeps it alive."""

    consumer: Consumer
    lease: Lease


class Process:
    """Hands out the consumer of a broker to all channels of one owner: an application, or a lone kombu connection.

    Args:
        node: the worker's name, for operators.
        clock: for the lease and the time of its start.
    """

    def __init__(self, node: str = "", clock: Clock | None = None) -> None:
        self.node = node or platform.node()
        self.clock = clock or SystemClock()
        self.started_ms = self.clock.wall_ms()
        #: Told of each script before and after it is called, by stores made from then on; for tests that kill there.
        self.at: Callable[[str, str], None] | None = None
        #: Whose lanes its claims look at, besides the shared queues.
        self.lanes = ServedLanes()
        #: Tasks that failed in this worker.
        self.failed_count = 0
        #: Seconds that tasks of this worker took of late, until somebody takes them from here.
        self.service_s: deque[float] = deque(maxlen=SERVICES_KEPT)
        #: Whether it ends once its tasks have ended, however long they take.
        self.is_draining = False
        self._members: dict[str, Member] = {}

    def join(
        self, address: str, settings: DeliverySettings, connect: Callable[[], Store], adopting: StockRecords
    ) -> Consumer:
        """Return the consumer for a broker, made on first use and kept while it has channels or holds anything.

        Args:
            address: names the broker and the key prefix.
            settings: for its lease.
            connect: returns a store over connections of its own; called twice, the second is the lease thread's.
            adopting: where stock workers on the same queues keep what they have not acknowledged.
        """
        member = self._members.get(address)
        if member is None or member.consumer.pid != os.getpid() or not member.lease.open_channel():
            consumer = Consumer(connect(), self.describe)
            lease = Lease(
                consumer,
                connect(),
                settings,
                clock=self.clock,
                adopting=adopting,
                has_moved=lambda: self._consumes_beside(consumer),
            )
            consumer.has_fresh_lease = lambda: lease.is_fresh
            member = Member(consumer=consumer, lease=lease)
            self._members[address] = member
            member.lease.open_channel()
        return member.consumer

    def _consumes_beside(self, consumer: Consumer) -> bool:
        return any(member.lease.is_used for member in self.members() if member.consumer is not consumer)

    def leave(self, consumer: Consumer) -> None:
        """Say that a channel closed. After the last one the consumer goes as soon as it holds nothing."""
        for member in self._members.values():
            if member.consumer is consumer:
                member.lease.close_channel()

    def members(self) -> tuple[Member, ...]:
        """Return the consumers of this process and their leases."""
        return tuple(member for member in tuple(self._members.values()) if member.consumer.pid == os.getpid())

    def describe(self) -> ConsumerInfo:
        """Return who this process is."""
        return ConsumerInfo(node=self.node, pid=os.getpid(), version=version("agent-hive"), started_ms=self.started_ms)
