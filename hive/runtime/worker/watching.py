"""The worker's part for dead letters: it tells of arrivals, and keeps the broker's within their bounds."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from celery import bootsteps

from hive.deadletter.archivist import Archivist
from hive.runtime.home import archive_of
from hive.runtime.results.dead_results import DeadResults
from hive.store.condemned import Arrival
from hive.telemetry.events import DeadLettered, fields_of
from hive.transport.channel import Channel

logger = logging.getLogger(__name__)


class DeadLetterWatch(bootsteps.StartStopStep):
    """Runs the archivist of a worker from its first connection to its end."""

    requires = ("hive.runtime.worker.consuming:Delivery",)

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
            results = DeadResults(app, lambda task_id, error: _send_failure(consumer, task_id, error))
            self._archivist = Archivist(
                lambda: app.access.store,
                lambda: tuple(app.amqp.queues.consume_from),
                archive_of(app.settings),
                app.settings.dead,
                lambda queue, arrivals: _tell(consumer, results, queue, arrivals),
            )
        self._archivist.start()
        # What becomes a dead letter here, or by our reaping, need not wait for the next look.
        consumer.task_consumer.channel.consumer.on_buried = self._archivist.wake

    def stop(self, consumer: Any) -> None:
        """Do nothing: what is lost with a connection comes back with the next."""

    def shutdown(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End it. A repeat does nothing."""
        if self._archivist is not None:
            self._archivist.stop()
            self._archivist = None


def _tell(consumer: Any, results: DeadResults, queue: str, arrivals: Sequence[Arrival]) -> list[str]:
    """End the results of letters and send an event for each; the log gets a line for each reason.

    Returns:
        Which are dealt with.
    """
    told = results.tell(queue, arrivals)
    known = set(told)
    chosen = [arrival for arrival in arrivals if arrival.id in known]
    for reason, count in Counter(arrival.reason for arrival in chosen).items():
        logger.warning("queue %s has new dead letters (%s): %d", queue, reason, count)
    dispatcher = consumer.event_dispatcher
    if dispatcher is not None and dispatcher.enabled:
        for arrival in chosen:
            event = DeadLettered(queue=queue, reason=arrival.reason, letter=arrival.id, at_ms=arrival.at_ms)
            dispatcher.send(event.name, **fields_of(event))
    return told


def _send_failure(consumer: Any, task_id: str, error: Exception) -> None:
    if consumer.event_dispatcher is not None:
        consumer.event_dispatcher.send("task-failed", uuid=task_id, exception=repr(error))
