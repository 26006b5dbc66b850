"""Where a Hive application's messages are routed and built."""

from typing import Any

from celery.app.amqp import AMQP

from hive.routing.router import Router
from hive.transport.connection import Connection


class HiveAMQP(AMQP):
    """Celery's AMQP layer with hive's router behind the user's own routes."""

    Connection = Connection

    def Router(self, queues: Any = None, create_missing: Any = None) -> Any:  # noqa: N802 - Celery's name
        """Return Celery's router; what no route of the user takes goes to the pool of its agent type."""
        router = super().Router(queues, create_missing)
        router.routes = [*router.routes, Router(self.app.agent_types)]
        return router
