"""Remote control of what waits on the broker: ``inspect scheduled`` lists it.

Celery finds remote control commands by name in one registry of the process; this one stands in the place of its own.
Revoking is the caller's: see :mod:`hive.runtime.worker.revoking`.
"""

from datetime import UTC, datetime
from typing import Any

from celery.worker import control as celery_control
from celery.worker.control import Panel, inspect_command

from hive.runtime.delivery.calls import UNDECODABLE, call_of
from hive.store.queue_values import ScheduledMessage
from hive.store.store import Store
from hive.transport import envelope
from hive.transport.channel import Channel

#: Scheduled messages that one reply lists at most, for each queue.
LISTED = 1_000

#: What Celery says of every task that waits for its time: the priority among its timers.
TIMER_PRIORITY = 6


def install() -> None:
    """Put hive's command in the place of Celery's, in this process. A repeat changes nothing."""
    if Panel.data["scheduled"] is not scheduled:
        inspect_command(name="scheduled", alias="dump_schedule")(scheduled)


def scheduled(state: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """List tasks with an eta, those that wait in this worker and those that wait on the broker."""
    found = celery_control.scheduled(state, **kwargs)
    store, queues = _broker(state)
    if store is not None:
        found += [
            _described(state.app, queue, message) for queue in queues for message in store.scheduled(queue, 0, LISTED)
        ]
    return found


def _broker(state: Any) -> tuple[Store | None, list[str]]:
    consumer = state.consumer.task_consumer
    channel = consumer.channel if consumer else None
    return (channel.store, channel.active_queues) if isinstance(channel, Channel) else (None, [])


def _described(app: Any, queue: str, message: ScheduledMessage) -> dict[str, Any]:
    """Return a scheduled message as Celery describes one that waits in a worker."""
    found: dict[str, Any] = {}
    args: Any = None
    kwargs: Any = None
    try:
        found = envelope.read(message.payload)
        args, kwargs, _ = call_of(app, found)
    except (envelope.UnreadableError, *UNDECODABLE):
        # Whoever claims it sets it aside.
        args = kwargs = None
    headers = found.get("headers") or {}
    return {
        "eta": headers.get("eta") or datetime.fromtimestamp(message.due_ms / 1000, UTC).isoformat(),
        "priority": TIMER_PRIORITY,
        "request": {
            "id": headers.get("id"),
            "name": headers.get("task"),
            "type": headers.get("task"),
            "args": headers.get("argsrepr") if args is None else args,
            "kwargs": headers.get("kwargsrepr") if kwargs is None else kwargs,
            "hostname": None,
            "time_start": None,
            "acknowledged": False,
            "delivery_info": {
                "exchange": "", "routing_key": queue, "priority": message.priority, "redelivered": False,
            },
            "worker_pid": None,
        },
    }  # fmt: skip
