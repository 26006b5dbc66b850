"""A worker's own port for Prometheus, and its figures on Celery's event stream."""

import errno
import logging
import threading
from typing import Any
from wsgiref.simple_server import WSGIServer

from celery import bootsteps
from prometheus_client import CollectorRegistry, start_http_server

from hive.monitoring.breakers import BreakerCollector
from hive.monitoring.figures import observe_queue, observe_worker
from hive.monitoring.prometheus import QueueCollector, WorkerCollector
from hive.settings.parts import WorkerSettings
from hive.store.faults import BrokerGoneError
from hive.telemetry.events import fields_of

logger = logging.getLogger(__name__)

#: Ports tried from the one that is set: the workers of one machine share the setting.
PORTS = 100

#: Seconds between two rounds of events.
EVENTS_EVERY_S = 10.0


class Figures(bootsteps.StartStopStep):
    """Serves the figures of a worker on ``worker.metrics_port``, if one is set, and sends them as events with ``-E``."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._timer: Any = None
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Serve and send, at each connection; the port stays the same."""
        settings = consumer.app.settings.worker
        if settings.metrics_port and self._server is None:
            self._serve(consumer, settings)
        if consumer.event_dispatcher is not None and consumer.event_dispatcher.enabled:
            self._announce(consumer)
            self._timer = consumer.timer.call_repeatedly(EVENTS_EVERY_S, self._announce, (consumer,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End sending; the port is served on while the connection is made again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def shutdown(self, consumer: Any) -> None:
        """End both. A repeat does nothing."""
        self.stop(consumer)
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def _serve(self, consumer: Any, settings: WorkerSettings) -> None:
        first = settings.metrics_port
        registry = CollectorRegistry(auto_describe=False)
        app = consumer.app
        registry.register(QueueCollector(lambda: app.access.store, lambda: tuple(app.amqp.queues.consume_from)))
        registry.register(WorkerCollector(lambda: consumer))
        registry.register(BreakerCollector(lambda: app.access.store))
        for port in range(first, min(first + PORTS, 65_536)):
            try:
                self._server, self._thread = start_http_server(port, addr=settings.metrics_address, registry=registry)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            logger.info("figures at http://%s:%d/metrics", settings.metrics_address, port)
            return
        logger.error("no figures: ports %d to %d are all taken; set worker.metrics_port", first, first + PORTS - 1)

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
