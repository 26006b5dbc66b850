"""The worker's consumer: what passes from the broker to the pool, and what happens to what cannot."""

import logging
from typing import Any

from celery import bootsteps
from celery.concurrency.prefork import TaskPool as PreforkPool
from celery.concurrency.solo import TaskPool as SoloPool
from celery.worker import state
from celery.worker.consumer.consumer import Consumer
from celery.worker.consumer.tasks import Tasks
from celery.worker.request import Request

from hive.deadletter.poison import Poison, Reason
from hive.runtime.delivery.fence import Fence
from hive.runtime.delivery.inspection import BROKEN, examine, invalid, undecodable
from hive.runtime.delivery.rejection import Rejection
from hive.runtime.guarding.admission import Admission
from hive.runtime.worker import control
from hive.runtime.worker.event_stream import SEND_S
from hive.runtime.worker.gate import Gate
from hive.runtime.worker.request import HiveRequest
from hive.runtime.worker.strategy import takes
from hive.store.values import DeliveryId
from hive.transport.channel import Channel
from hive.transport.consumer import Consumer as Holder
from hive.transport.native import in_this_thread

logger = logging.getLogger(__name__)


#: Seconds between two looks for pool children that died, where their end is not seen; Celery's own are five seconds apart.
CHILDREN_EVERY_S = 0.5


class HiveConsumer(Consumer):
    """Celery's consumer behind a gate that records starts.

    What Celery logs and drops because it cannot be a task here becomes a dead letter, with its raw bytes.
    """

    #: What the process holds on the broker; None before the first connection, and on a broker that is not ours.
    holder: Holder | None = None

    def __init__(self, on_task_request: Any, **kwargs: Any) -> None:
        self.admission = Admission(kwargs["app"])
        self.gate = Gate(
            on_task_request,
            lambda: self.pool.num_processes,
            admits=self.admission.admits,
            dismisses=self.admission.dismiss,
        )
        control.install()
        self.rejection = Rejection(self)
        super().__init__(self.gate.admit, **kwargs)

    def connection_for_write(self, url: Any = None, heartbeat: Any = None) -> Any:
        """Return a connection for events, which the event loop sends: it waits no longer than they may take."""
        limits = {"socket_timeout": SEND_S, "socket_connect_timeout": SEND_S}
        return self.ensure_connected(
            self.app.connection_for_write(url=url, heartbeat=heartbeat, transport_options=limits)
        )

    def call_soon_ack(self, p: Any, *args: Any, **kwargs: Any) -> Any:
        """Note an acknowledgement at once: it waits in the outbox, not in the event loop."""
        if self.holder is None:
            return super().call_soon_ack(p, *args, **kwargs)
        p(*args, **kwargs)
        return p

    def on_close(self) -> None:
        """Hand back what waits before the gate; after a lost connection, or because the worker stops."""
        waiting = self.gate.clear()
        super().on_close()
        if self.holder is None:
            return
        for delivery in waiting:
            self.holder.requeue(delivery)
        if self.connection is not None and self.task_consumer is not None:
            # The worker stops: what runs may take long, what waits must not wait for it.
            self.holder.is_eager = True
            self.task_consumer.channel.hand_back()

    def shutdown(self) -> None:
        """End the consumer; all that does not run any more goes back."""
        if self.holder is not None:
            running = () if isinstance(self.pool, PreforkPool) else tuple(state.active_requests)
            fences = (Fence.of_message(request.message) for request in running)
            self.holder.still_running = frozenset(fence.delivery for fence in fences if fence is not None)
        super().shutdown()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Return what takes a message from the broker: a look at its form before Celery's own handler."""
        receive = super().create_task_handler(*args, **kwargs)
        max_depth = self.app.settings.dead.max_depth

        def on_task_received(message: Any) -> None:
            if getattr(message, "fence", None) is None:
                receive(message)
                return
            poison = examine(message, self.app.tasks, max_depth)
            if poison is None:
                try:
                    if not takes(self.strategies, message):
                        receive(message)
                    return
                except BROKEN as error:
                    # Celery trusts headers to be what it wrote: this would stop its consumer, again and again.
                    poison = invalid(error)
            self.rejection.set_aside(message, poison)

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Set a message aside whose body cannot be decoded."""
        if not self.rejection.set_aside(message, undecodable(exc)):
            super().on_decode_error(message, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Set a message aside that is no task."""
        if not self.rejection.set_aside(message, Poison(reason=Reason.NOT_A_TASK, cause="the message names no task")):
            super().on_unknown_message(body, message)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Let a message wait for a worker that knows its task, and set it aside after its grace time."""
        if not self.rejection.postpone(message, self.app.settings.dead.unknown_task_grace_s, exc):
            super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Set a message aside that is a task with a broken envelope."""
        if not self.rejection.set_aside(message, invalid(exc)):
            super().on_invalid_task(body, message, exc)

    def lose(self, deliveries: list[DeliveryId]) -> None:
        """Drop or cancel tasks whose lease is gone: another worker has them, and our results would be refused."""
        if self.hub is None:
            self._cancel(deliveries)
            return
        self.hub.call_soon(self._cancel, deliveries)
        consumer = self.task_consumer
        if consumer is not None and isinstance(consumer.channel, Channel):
            # Before the loop takes the end of a task for a reason to begin the next one.
            consumer.channel.connection.cycle.nudge()

    def _cancel(self, deliveries: list[DeliveryId]) -> None:
        lost = set(deliveries)
        self.gate.drop(lost)
        for request in tuple(state.reserved_requests):
            if request.message.delivery_tag not in lost:
                continue
            if request in state.active_requests:
                self._cancel_one(request)
            elif isinstance(request, HiveRequest):
                request.withdraw(self.pool)

    def _cancel_one(self, request: Request) -> None:
        try:
            request.cancel(self.pool, emit_retry=False)
        except NotImplementedError:
            logger.warning("task %s[%s] runs on in a thread; what it finishes is refused", request.name, request.id)


class Delivery(bootsteps.StartStopStep):
    """Joins the worker's consumer and what the process holds on the broker, at every connection."""

    requires = (Tasks,)

    def start(self, c: Any) -> None:
        """Let the transport ask the gate for starts, and tell the worker of lost leases."""
        channel = c.task_consumer.channel
        gate = getattr(c, "gate", None)
        if gate is None or not isinstance(channel, Channel):
            return
        channel.connection.process.node = c.hostname
        holder = c.holder = channel.consumer
        holder.on_lost = c.lose if c.hub else in_this_thread(c.lose)
        holder.shares_memory = not isinstance(c.pool, PreforkPool)
        holder.starts_due, holder.has_starts, holder.on_started = gate.due, gate.has_due, gate.begin
        holder.on_starts_failed = gate.undo
        holder.begins_early = not isinstance(c.pool, SoloPool)
        channel.begins_tasks = True
        holder.is_starving = lambda: gate.is_starving
        gate.start_now = None if c.hub else holder.start
        if c.hub and isinstance(c.pool, PreforkPool) and not getattr(c.pool._pool, "sees_ends", False):
            c.hub.call_repeatedly(CHILDREN_EVERY_S, c.pool.maintain_pool)
        gate.prefetches = not c.app.conf.worker_disable_prefetch
        channel.qos.pool = gate

    def stop(self, c: Any) -> None:
        """Do nothing: the consumer hands back when it closes."""
