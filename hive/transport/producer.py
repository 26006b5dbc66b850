"""A producer that one thread at a time publishes with: over a connection that is kept, without kombu's preparations."""

import itertools
import os
import uuid
from typing import Any

from kombu import Producer, serialization

from hive.store.line import Line
from hive.store.store import Store
from hive.transport.batch import Gathered
from hive.transport.channel import Channel
from hive.transport.envelope import PUBLISH_ID, new_id


class DirectProducer(Producer):
    """kombu's producer, which prepares for a lost connection only once it is lost.

    kombu makes each publish repeatable beforehand, which costs as much as the publish. Here a first try is made without;
    only if it fails, kombu's own way follows, and the broker drops whichever of the two comes second.

    Args:
        connection: kombu's, of this producer alone.
    """

    def __init__(self, connection: Any) -> None:
        self._lined: Channel | None = None
        self._name = uuid.uuid4().hex
        self._numbers = itertools.count()
        super().__init__(connection)

    def publish(self, body: Any, *args: Any, retry: bool = False, **options: Any) -> Any:
        """Publish a message, with the arguments and the errors of kombu's producer."""
        if isinstance(self._channel, Channel) and self._channel.closed:
            # The last try ended without a broker: a master that Sentinel had not replaced yet, say.
            self.revive(self.connection)
        if self._lined is None or self._lined is not self._channel:
            result = super().publish(body, *args, retry=retry, **options)
            self._keep_line()
            return result
        options.setdefault(PUBLISH_ID, self.next_publish_id())
        try:
            return super().publish(body, *args, **options)
        except self.connection.recoverable_connection_errors:
            if not retry:
                raise
        return super().publish(body, *args, retry=True, **options)

    def next_publish_id(self) -> str:
        """Return an id that no other publish has."""
        # With the process: a child forked from this one counts on from the same number.
        return f"{self._name}.{os.getpid()}.{next(self._numbers)}"

    def is_ready(self, queue: str) -> bool:
        """Whether a message for ``queue`` needs nothing but to be sent: connected, declared, and no batch of kombu's."""
        channel = self._lined
        return (
            channel is not None
            and channel is self._channel
            and not channel.closed
            and queue in channel.declared
            and isinstance(getattr(self._batch_local, "current", None), Gathered | None)
        )

    def publish_plain(
        self, queue: str, body: Any, headers: dict[str, Any], properties: dict[str, Any], serializer: str
    ) -> None:
        """Publish to a queue this producer is ready for, or add the message to the batch this thread gathers.

        Args:
            queue: its name.
            body: what is written with the serializer.
            headers: of the message.
            properties: kombu's, with the id of the publish; what the broker's address and the body add is added.
            serializer: kombu's name of it.

        Raises:
            MessageTooLargeError: it is over the limit; nothing was sent.
            BrokerError: as the broker gave it; the message may be published again under the same id.
        """
        channel: Any = self._lined
        content_type, content_encoding, data = serialization.dumps(body, serializer)
        written, body_encoding = channel.encode_body(data, channel.body_encoding)
        properties |= {
            "delivery_info": {"exchange": "", "routing_key": queue},
            "body_encoding": body_encoding,
            "delivery_tag": new_id(),
        }
        message = {
            "body": written,
            "content-encoding": content_encoding,
            "content-type": content_type,
            "headers": headers,
            "properties": properties,
        }
        gathered = getattr(self._batch_local, "current", None)
        if gathered is not None:
            gathered.channel = channel
        channel._put(queue, message, _publish_batch=gathered)

    def _keep_line(self) -> None:
        """Let the channel keep its connection to the broker between two messages: nobody else uses it."""
        channel = self._channel
        if isinstance(channel, Channel):
            line = Line(channel.pool)
            channel.store = Store(line, layout=channel.layout, settings=channel.settings, at=channel.store.at)
            self._lined = channel
