"""A worker's own port for Prometheus."""

import errno
import logging
import threading
from typing import Any
from wsgiref.simple_server import WSGIServer

from celery import bootsteps
from prometheus_client import CollectorRegistry, start_http_server

from hive.monitoring.breakers import BreakerCollector
from hive.monitoring.prometheus import QueueCollector, WorkerCollector
from hive.settings.parts import WorkerSettings

logger = logging.getLogger(__name__)

#: Ports tried from the one that is set: the workers of one machine share the setting.
PORTS = 100


class Port(bootsteps.StartStopStep):
    """Serves the figures of a worker and of its queues on ``worker.metrics_port``; a step of workers where it is set."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Serve, from the first connection on; the port stays the same."""
        if self._server is None:
            self._serve(consumer, consumer.app.settings.worker)

    def stop(self, consumer: Any) -> None:
        """Do nothing: the port is served on while the connection is made again."""

    def shutdown(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """End it. A repeat does nothing."""
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
