"""Where a Hive application's messages are routed and built."""

from typing import Any

from celery.app.amqp import AMQP

from hive.errors import BrokerRefusedError
from hive.routing.router import Router
from hive.runtime.calling.backpressure import guard_by_bound
from hive.runtime.calling.next_steps import fence_of_source
from hive.transport.channel import Channel
from hive.transport.connection import Connection
from hive.transport.envelope import FOLLOWS, GUARD


class HiveAMQP(AMQP):
    """Celery's AMQP layer with hive's router behind the user's own routes."""

    Connection = Connection

    def Router(self, queues: Any = None, create_missing: Any = None) -> Any:  # noqa: N802 - Celery's name
        """Return Celery's router; what no route of the user takes goes to the pool of its agent type, or to a lane there."""
        router = super().Router(queues, create_missing)
        snapshots = self.app.snapshots if self.app.settings.routing.lanes else None
        router.routes = [*router.routes, Router(self.app.agent_types, snapshots, self.app.process.clock)]
        return router

    def as_task_v2(
        self, task_id: str, name: str, args: Any = None, kwargs: Any = None, *more: Any, **options: Any
    ) -> Any:
        """Return a task's message as Celery builds it, without asking its slow printer how nothing is printed."""
        if not args and options.get("argsrepr") is None:
            options["argsrepr"] = "()"
        if not kwargs and options.get("kwargsrepr") is None:
            options["kwargsrepr"] = "{}"
        return super().as_task_v2(task_id, name, args, kwargs, *more, **options)

    def _create_task_sender(self) -> Any:
        """Return Celery's function that publishes a task; a queue is declared once per channel, not once per call."""
        send = super()._create_task_sender()

        def send_task_message(
            producer: Any, name: str, message: Any, queue: Any = None, declare: Any = None, **options: Any
        ) -> Any:
            channel = producer.channel
            if declare is None and queue is not None and isinstance(channel, Channel):
                known = queue if isinstance(queue, str) else queue.name
                if known in channel.declared:
                    declare = []
                channel.declared.add(known)
            is_ours = isinstance(channel, Channel)
            if GUARD in options and not is_ours:
                raise BrokerRefusedError(
                    f"task {name}: only a broker of hive's transport can compare calls by their keys"
                )
            if is_ours and self.app.backpressure.bounds and not message.headers.get("retries"):
                guard_by_bound(self.app.backpressure.bounds, queue, options)
            task = self.app.current_worker_task
            fence = fence_of_source(task.request, message.headers.get("id")) if task else None
            if fence is not None and isinstance(channel, Channel):
                options[FOLLOWS] = fence
            return send(producer, name, message, queue=queue, declare=declare, **options)

        return send_task_message
