"""What a channel publishes: an envelope becomes one script's work, or part of a batch."""

import logging
from collections.abc import Set as AbstractSet
from typing import Any

from hive.store.beat_entries import fire
from hive.store.lane import LANE
from hive.store.values import DeliveryId, Following, Outgoing, Source
from hive.transport import envelope
from hive.transport.batch import PublishBatch
from hive.transport.link import Linked
from hive.transport.options import OPTION

logger = logging.getLogger(__name__)


class Publishing(Linked):
    """The publishing side of a channel."""

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        """Publish a message, or note it in kombu's batch of publishes."""
        batch = kwargs.pop("_publish_batch", None)
        outgoing = self.outgoing(queue, message)
        if batch is not None:
            batch.add_message(outgoing)
            return
        firing = message["properties"].get(envelope.FIRES)
        if firing is None:
            self.send(outgoing)
        else:
            fire(self.store, firing, outgoing)
        if self._expires:
            self.touch({queue})

    def send(self, outgoing: Outgoing) -> None:
        """Publish one message; one that is dropped, because it is a repeat or no longer ours to send, is logged."""
        if outgoing.follows is None:
            if not self.store.publish(outgoing) and outgoing.guard is None:
                _dropped(outgoing, "it is on the broker already")
            return
        following = self.store.follow(outgoing.follows, outgoing)
        if following is Following.REPEAT:
            _dropped(outgoing, "an earlier delivery of the task before it has published it")
        elif following is not Following.PUBLISHED:
            _dropped(outgoing, "the delivery it follows from is no longer ours")

    def touch(self, queues: AbstractSet[str], consumer: str | None = None) -> None:
        """Keep queues with ``x-expires`` alive, because they are used."""
        self.store.touch({queue: self._expires[queue] for queue in queues & self._expires.keys()}, consumer)

    def create_publish_batch(self, max_size: int) -> PublishBatch:
        """Return what ``Producer.batch()`` gathers in."""
        return PublishBatch(self, max_size)

    def outgoing(self, queue: str, message: dict[str, Any]) -> Outgoing:
        """Return what is published for an envelope; an eta makes it wait on the broker."""
        now_ms = self.connection.clock.wall_ms()
        envelope.stamp_expiry(message, now_ms)
        envelope.stamp_published(message, now_ms)
        # Stock applications of this process come through here too, and their workers may be stock ones: these look for
        # what is due in the ready lists only.
        is_ours = OPTION in self.connection.client.transport_options
        due_ms = envelope.due_at_ms(message) if is_ours else None
        if due_ms is not None:
            envelope.mark_scheduled(message)
        follows = self._source(message)
        return Outgoing(
            queue=queue,
            payload=envelope.written(message),
            message_id=envelope.message_id(message),
            priority=self._get_message_priority(message, reverse=False),
            dedup_id=envelope.publish_id(message) if follows is None else envelope.step_id(message),
            due_ms=due_ms,
            follows=follows,
            # What follows from a task is part of what was accepted before.
            guard=message["properties"].get(envelope.GUARD) if follows is None else None,
            fair=envelope.fair_of(message.get("headers")) if is_ours else None,
            lane=message["properties"].get(LANE),
        )

    def _source(self, message: dict[str, Any]) -> Source | None:
        """Return the delivery a message follows from, if this is the broker that knows it."""
        fence = envelope.fence(message)
        if fence is None or fence["broker"] != self.address:
            return None
        delivery = DeliveryId(queue=fence["queue"], token=fence["token"])
        return Source(consumer=fence["consumer"], delivery=delivery, message_id=fence["message"])


def _dropped(outgoing: Outgoing, why: str) -> None:
    logger.warning("message %s for queue %r is not published: %s", outgoing.dedup_id, outgoing.queue, why)
