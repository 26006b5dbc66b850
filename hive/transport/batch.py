"""Gathering what kombu's producer publishes, to send many messages in one round trip or one in an unusual way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.exceptions import BatchPublishError as KombuBatchPublishError

from hive.store.faults import BatchPublishError
from hive.store.values import Outgoing


class Gathered:
    """What was published through a channel and has not been sent.

    Attributes:
        messages: for queues, in order.
        commands: kombu's own, such as fanout messages: name and arguments.
    """

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []
        self.commands: list[tuple[str, tuple[Any, ...]]] = []
        self.channel: Any = None

    def publish(self, channel: Any, message: dict[str, Any], **kwargs: Any) -> Any:
        """Take what kombu's producer would publish, routed by the channel."""
        self.channel = channel
        return channel.basic_publish(message, _publish_batch=self, **kwargs)

    def add_message(self, message: Outgoing) -> None:
        """Take a message for a queue; the channel calls this."""
        self.messages.append(message)

    def add(self, name: str, *arguments: Any) -> None:
        """Take a command of kombu's; the channel calls this."""
        self.commands.append((name, arguments))

    def send(self) -> None:
        """Send everything and forget it; nothing to do if there is nothing.

        Raises:
            BatchPublishError: some messages are not on the broker; it says which.
            MessageTooLargeError: one is over the limit; nothing was sent.
        """
        messages, self.messages = self.messages, []
        for message in messages:
            if message.follows is not None:
                self.channel.send(message)
        alone = [message for message in messages if message.follows is None]
        if alone:
            self.channel.store.publish_many(alone)
        if messages:
            self.channel.touch({message.queue for message in messages})
        self.send_commands()

    def send_commands(self) -> None:
        """Send kombu's commands only, in one round trip."""
        commands, self.commands = self.commands, []
        if commands:
            with self.channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipeline:
                for name, arguments in commands:
                    getattr(pipeline, name)(*arguments)
                pipeline.execute()


@contextmanager
def gathering(producer: Any) -> Iterator[Gathered]:
    """Gather what this thread publishes through a kombu producer within the block, instead of sending it."""
    gathered = Gathered()
    before = getattr(producer._batch_local, "current", None)
    producer._batch_local.current = gathered
    try:
        yield gathered
    finally:
        producer._batch_local.current = before


class PublishBatch:
    """kombu's ``Producer.batch()`` on hive's channel.

    Args:
        channel: to publish through.
        max_size: messages and commands after which it is sent by itself.
    """

    def __init__(self, channel: Any, max_size: int) -> None:
        self.channel = channel
        self.max_size = max_size
        self._gathered = Gathered()
        self._failed: Exception | None = None

    def publish(self, message: dict[str, Any], **kwargs: Any) -> Any:
        """Take a message."""
        self._check()
        result = self._gathered.publish(self.channel, message, **kwargs)
        if len(self._gathered.messages) + len(self._gathered.commands) >= self.max_size:
            self.flush()
        return result

    def flush(self) -> None:
        """Send what was taken.

        Raises:
            BatchPublishError: kombu's; its cause says which messages are on the broker.
        """
        self._check()
        if self._gathered.channel is None:
            return
        try:
            self._gathered.send()
        except BatchPublishError as error:
            self._failed = error
            raise KombuBatchPublishError(str(error)) from error

    def discard(self) -> None:
        """Forget what was not sent."""
        self._gathered = Gathered()

    def close(self) -> None:
        """End the batch; what was not sent is forgotten."""
        self.discard()

    def _check(self) -> None:
        if self._failed is not None:
            raise KombuBatchPublishError("the batch failed before and cannot be used again") from self._failed
