"""Revoking what waits on the broker: workers remember revoked ids for hours, an eta may be days away."""

from collections.abc import Iterator
from typing import Any

from celery.app.control import Control
from celery.app.task import Context

from hive.runtime.calling.unique import DIGEST_HEADER
from hive.store.queue_values import ScheduledMessage
from hive.store.store import Store
from hive.transport import envelope
from hive.transport.channel import Channel

#: Scheduled messages looked at in one round trip.
PAGE = 500


class HiveControl(Control):
    """Celery's remote control, whose ``revoke`` also reaches tasks that wait on the broker for their time."""

    def revoke(self, task_id: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell all workers to discard tasks, and take those off the broker that wait there in the scheduled sets.

        These are revoked at once, also with no worker there, and the event ``task-revoked`` says so. The scheduled sets of the application's queues are looked
        through, 500 messages in one round trip. A repeat finds nothing.

        Args:
            task_id: one id or several.
            args: as for Celery.
            kwargs: as for Celery.
        """
        replies = super().revoke(task_id, *args, **kwargs)
        ids = {task_id} if isinstance(task_id, str) else set(task_id or ())
        with self.app.connection_for_write() as connection:
            channel = connection.default_channel
            if ids and isinstance(channel, Channel):
                for queue in tuple(self.app.amqp.queues):
                    self._cancel(channel.store, queue, ids)
        return replies

    def _cancel(self, store: Store, queue: str, ids: set[str]) -> None:
        for message, headers in tuple(_waiting(store, queue)):
            if headers.get("id") in ids and store.cancel_scheduled(queue, [message.message_id]):
                store.abandon_run(headers["id"])
                if digest := headers.get(DIGEST_HEADER):
                    store.free_key(queue, digest, headers["id"])
                request = Context(headers, id=headers["id"], task=headers.get("task"))
                self.app.backend.mark_as_revoked(headers["id"], "revoked", request=request, store_result=True)
                with self.app.events.default_dispatcher() as events:
                    events.send("task-revoked", uuid=headers["id"], terminated=False, signum=None, expired=False)


def _waiting(store: Store, queue: str) -> Iterator[tuple[ScheduledMessage, dict[str, Any]]]:
    """Yield scheduled messages and their headers, as they were at about this time."""
    offset = 0
    while page := store.scheduled(queue, offset, PAGE):
        offset += PAGE
        for message in page:
            try:
                yield message, envelope.read(message.payload).get("headers") or {}
            except envelope.UnreadableError:
                # Whoever claims it sets it aside.
                continue
