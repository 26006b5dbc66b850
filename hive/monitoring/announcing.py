"""A worker's figures on Celery's event stream."""

import logging
from typing import Any

from celery import bootsteps

from hive.monitoring.figures import observe_queue, observe_worker
from hive.store.faults import BrokerGoneError
from hive.telemetry.events import fields_of

logger = logging.getLogger(__name__)

#: Seconds between two rounds of events.
EVENTS_EVERY_S = 10.0


class Announcements(bootsteps.StartStopStep):
    """Sends the figures of a worker and of its queues as events, with ``-E``."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._timer: Any = None
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Send, from each connection on."""
        if consumer.event_dispatcher is not None and consumer.event_dispatcher.enabled:
            self._announce(consumer)
            self._timer = consumer.timer.call_repeatedly(EVENTS_EVERY_S, self._announce, (consumer,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End sending. A repeat does nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _announce(self, consumer: Any) -> None:
        send = consumer.event_dispatcher.send
        worker = observe_worker(consumer)
        send(worker.name, **fields_of(worker))
        try:
            observed = [
                observe_queue(consumer.app.access.store, queue) for queue in consumer.app.amqp.queues.consume_from
            ]
        except BrokerGoneError as error:
            # The consumer itself notices and reconnects; the next round comes with the new connection.
            logger.warning("no figures of queues this time: %s", error)
            return
        for queue in observed:
            send(queue.name, **fields_of(queue))
