"""Celery's event stream out of an application, which waits for no broker that is away.

The worker's event loop sends events, and threads of it do, all through one dispatcher with one lock. Celery's tries to send a
heartbeat until the broker is there, and all of them stand still meanwhile. Here an event is tried once, for a second at most;
what fails is kept, and for :data:`REST_S` nothing is tried. Later events are kept behind it in their order: the newest
:data:`MOST_KEPT`, and no heartbeats, which say nothing any more. What is not kept is counted, and told of in the log.
"""

import logging
from collections import deque
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from kombu.exceptions import EncodeError

logger = logging.getLogger(__name__)

#: Seconds that a worker's event may take to be sent, and that none is tried after one that failed.
SEND_S, REST_S = 1.0, 5.0

#: Events (or batches of them) that are kept while the broker is away.
MOST_KEPT = 1_000

HEARTBEAT = "worker-heartbeat"


class HiveDispatcher(EventDispatcher):
    """Celery's dispatcher; what it sends over its own connection is tried once, and kept for later if that fails.

    Attributes:
        dropped_count: events that were not kept.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.dropped_count = 0
        self._rests_until_s = float("-inf")
        self._is_away = False
        super().__init__(*args, **kwargs)
        self._outbound_buffer: deque[tuple[Any, str]] = deque(maxlen=MOST_KEPT)

    def _publish(self, event: Any, producer: Any, routing_key: str, *args: Any, **kwargs: Any) -> None:
        """Send an event and what is kept; of another's producer, and where nothing is to be kept, as Celery does."""
        if producer is None or producer is not self.producer or not self.buffer_while_offline:
            super()._publish(event, producer, routing_key, *args, **kwargs)
            return
        rests = self.app.process.clock.monotonic_s() < self._rests_until_s
        self._keep(event, routing_key, even_heartbeats=not rests)
        if rests:
            return
        while self._outbound_buffer:
            if not self._is_sent(producer, *self._outbound_buffer[0]):
                return
            self._outbound_buffer.popleft()
        self._is_back()

    def _is_sent(self, producer: Any, event: Any, routing_key: str) -> bool:
        try:
            producer.publish(
                event,
                routing_key=routing_key,
                exchange=self.exchange.name,
                declare=[self.exchange],
                serializer=self.serializer,
                headers=self.headers,
                delivery_mode=self.delivery_mode,
            )
        except EncodeError as error:
            self.dropped_count += 1
            logger.warning("an event for %s cannot be written: %s", routing_key, error)
        except (*self.connection.connection_errors, *self.connection.channel_errors) as error:
            self._rests_until_s = self.app.process.clock.monotonic_s() + REST_S
            if not self._is_away:
                logger.warning("events are kept, the newest %d, until the broker takes them: %s", MOST_KEPT, error)
            self._is_away = True
            return False
        return True

    def _keep(self, event: Any, routing_key: str, *, even_heartbeats: bool) -> None:
        kept = self._outbound_buffer
        is_wanted = even_heartbeats or isinstance(event, list) or event["type"] != HEARTBEAT
        if not is_wanted or len(kept) == MOST_KEPT:
            self.dropped_count += 1
        if is_wanted:
            kept.append((event, routing_key))

    def _is_back(self) -> None:
        if self._is_away:
            logger.info("events are sent again; %d were dropped", self.dropped_count)
        self._is_away = False

    def extend_buffer(self, other: "HiveDispatcher") -> None:
        """Take over what the dispatcher of a lost connection kept, and its count."""
        super().extend_buffer(other)
        self.dropped_count += other.dropped_count
        self._is_away = other._is_away


class HiveEvents(Events):
    """Celery's ``app.events`` with that dispatcher."""

    dispatcher_cls = "hive.runtime.worker.event_stream:HiveDispatcher"
