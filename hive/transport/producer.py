"""A producer that one thread at a time publishes with: over a connection that is kept, without kombu's preparations."""

import itertools
import os
import uuid
from typing import Any

from kombu import Producer

from hive.store.line import Line
from hive.store.store import Store
from hive.transport.channel import Channel
from hive.transport.envelope import PUBLISH_ID


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
        if self._lined is None or self._lined is not self._channel:
            result = super().publish(body, *args, retry=retry, **options)
            self._keep_line()
            return result
        # With the process: a child forked from this one counts on from the same number.
        options.setdefault(PUBLISH_ID, f"{self._name}.{os.getpid()}.{next(self._numbers)}")
        try:
            return super().publish(body, *args, **options)
        except self.connection.recoverable_connection_errors:
            if not retry:
                raise
        return super().publish(body, *args, retry=True, **options)

    def _keep_line(self) -> None:
        """Let the channel keep its connection to the broker between two messages: nobody else uses it."""
        channel = self._channel
        if isinstance(channel, Channel):
            line = Line(channel.pool)
            channel.store = Store(line, layout=channel.layout, settings=channel.settings, at=channel.store.at)
            self._lined = channel
