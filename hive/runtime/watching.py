"""The worker's part for dead letters: it tells of arrivals, and keeps the broker's within their bounds."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from celery import bootsteps

from hive.database.archive import LetterArchive
from hive.deadletter.archivist import Archivist
from hive.runtime.home import Home
from hive.store.condemned import Arrival
from hive.telemetry.events import DeadLettered, fields_of
from hive.transport.channel import Channel

logger = logging.getLogger(__name__)


class DeadLetterWatch(bootsteps.StartStopStep):
    """Runs the archivist of a worker from its first connection to its end."""

    requires = ("hive.runtime.consuming:Delivery",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._archivist: Archivist | None = None
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Start it; at a later connection it runs already."""
        if not isinstance(consumer.task_consumer.channel, Channel):
            return
        app = consumer.app
        # Connected here, where a broker that is away makes the worker try again; the thread only uses it.
        reached = app.access.channel
        if not isinstance(reached, Channel):
            return
        if self._archivist is None:
            self._archivist = Archivist(
                lambda: app.access.store,
                lambda: tuple(app.amqp.queues.consume_from),
                LetterArchive(Home(app.settings.home).dead_letters),
                app.settings.dead,
                lambda queue, arrivals: _tell(consumer, queue, arrivals),
            )
        self._archivist.start()

    def stop(self, consumer: Any) -> None:
        """Do nothing: what is lost with a connection comes back with the next."""

    def shutdown(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End it. A repeat does nothing."""
        if self._archivist is not None:
            self._archivist.stop()
            self._archivist = None


def _tell(consumer: Any, queue: str, arrivals: Sequence[Arrival]) -> None:
    """Send an event for each arrival; the log gets a line for each reason."""
    for reason, count in Counter(arrival.reason for arrival in arrivals).items():
        logger.warning("queue %s has new dead letters (%s): %d", queue, reason, count)
    dispatcher = consumer.event_dispatcher
    if dispatcher is None or not dispatcher.enabled:
        return
    for arrival in arrivals:
        event = DeadLettered(queue=queue, reason=arrival.reason, letter=arrival.id, at_ms=arrival.at_ms)
        dispatcher.send(event.name, **fields_of(event))
