"""What a channel has delivered and how much more it may take: kombu's bookkeeping over hive's consumer."""

from collections.abc import Callable
from typing import Any, Protocol

from kombu.transport.virtual import base

from hive.guards.guard import AgentWait
from hive.store.condemned import Condemned
from hive.store.turn import Fair
from hive.store.values import DeliveryId


class Pool(Protocol):
    """What runs the messages of a channel."""

    @property
    def capacity(self) -> int:
        """Messages it has a use for, those it has included."""

    @property
    def free(self) -> int:
        """Messages it has a use for and does not have yet; negative while it shrinks."""


class QoS(base.QoS):
    """Counts what is delivered against the prefetch count; acknowledgements go to the channel's consumer.

    Delivery tags are delivery ids, so that an acknowledgement names one delivery and no later one of the same message.
    """

    #: The worker's, for which no more is taken than it can begin soon, however high the prefetch count.
    pool: Pool | None = None

    @property
    def limit(self) -> int:
        """Return how many messages it may have at once; 0: any number."""
        counts = (self.prefetch_count, self.pool.capacity if self.pool is not None else 0)
        return min((count for count in counts if count), default=0)

    def room(self) -> int | None:
        """Return how many more messages the channel may take now; ``None``: any number."""
        if not self.can_consume():
            return 0
        room: int | None = self.can_consume_max_estimate()
        if self.pool is not None:
            free = max(self.pool.free, 0)
            return free if room is None else min(room, free)
        if "can_consume" in self.__dict__:
            # Patched by stock Celery (worker_disable_prefetch): ask again after each message.
            return 1
        return room

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a delivery; without an event loop it is sent at once."""
        super().ack(delivery_tag)
        if isinstance(delivery_tag, DeliveryId):
            self.channel.consumer.finish(delivery_tag)
            self.channel.settle_soon()

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """End a delivery: back to its queue if asked for, one death more if its pool child was lost, else dropped."""
        message: Any = self._delivered.get(delivery_tag)
        super().ack(delivery_tag)
        if not isinstance(delivery_tag, DeliveryId):
            # Taken without acknowledgement: there is nothing to give back.
            return
        consumer = self.channel.consumer
        if requeue and message is not None and message.cause_of_death:
            consumer.died(delivery_tag, message.cause_of_death)
        elif requeue:
            consumer.put_last(delivery_tag)
        else:
            consumer.finish(delivery_tag)
        self.channel.settle_soon()

    def dead_letter(self, condemned: Condemned) -> None:
        """End a delivery that can never succeed: its message is set aside."""
        super().ack(condemned.id)
        self.channel.consumer.dead_letter(condemned)
        self.channel.settle_soon()

    def postpone(self, condemned: Condemned, grace_s: float, look_s: float, on_over: Callable[[], None]) -> None:
        """End a delivery whose task nobody here knows: its message waits on the broker for somebody who does."""
        super().ack(condemned.id)
        self.channel.consumer.postpone(condemned, grace_s, look_s, on_over)
        self.channel.settle_soon()

    def reschedule(self, delivery: DeliveryId, message_id: str, due_ms: int, fair: Fair | None = None) -> None:
        """End a delivery that may not run now: its message waits on the broker, uncounted, until ``due_ms``."""
        super().ack(delivery)
        self.channel.consumer.reschedule(delivery, message_id, due_ms, fair)
        self.channel.settle_soon()

    def wait_for_agent(self, delivery: DeliveryId, message_id: str, wait: AgentWait, fair: Fair | None = None) -> None:
        """End a delivery whose agent is not awake: its message waits on the broker, uncounted, until it is."""
        super().ack(delivery)
        self.channel.consumer.wait_for_agent(delivery, message_id, wait, fair)
        self.channel.settle_soon()

    def restore_unacked(self) -> list[Any]:
        """Hand back what is delivered and has not started; what runs stays ours, unless the worker is ending."""
        self._flush()
        if not self._delivered:
            return []
        for delivery in self.channel.consumer.hand_back(tuple(self._delivered)):
            self._delivered.pop(delivery, None)
        return []

    def restore_unacked_once(self, stderr: Any = None) -> None:  # noqa: ARG002 - kombu's name
        """Hand back what has not started, when the channel closes or the process ends."""
        self._on_collect.cancel()
        if self.restore_at_shutdown and self.channel.do_restore:
            self.restore_unacked()

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: leases return the work of the dead."""
