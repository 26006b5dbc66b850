"""From a claimed delivery to the message that is handed to Celery."""

from hive.store.values import Delivery
from hive.transport import envelope
from hive.transport.message import HiveMessage
from hive.transport.setting_aside import SettingAside

#: A due time nearer than this is no reason to put a message back into the scheduled set: clocks differ.
DUE_MARGIN_MS = 1_000


class Opening(SettingAside):
    """How a channel reads what it claimed."""

    def _open(self, delivery: Delivery) -> HiveMessage | None:
        """Return the message of a delivery; None if it is broken, has expired or is not due, and has been dealt with."""
        acknowledged = bool(delivery.id.token)
        if len(delivery.payload) > self.settings.max_message_bytes:
            self._condemn(delivery, "too_large", f"{len(delivery.payload):,} bytes are over delivery.max_message_bytes")
            return None
        try:
            found = envelope.read(delivery.payload)
            message: HiveMessage = self.Message(found, channel=self)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._condemn(delivery, getattr(error, "reason", "not_an_envelope"), str(error))
            return None
        if acknowledged:
            if not self._is_current(delivery, found):
                self.settle_soon()
                return None
            consumer = message.consumer = self.consumer
            message.delivery_tag = delivery.id
            message.fence = {
                "consumer": consumer.id,
                "queue": delivery.id.queue,
                "token": delivery.id.token,
                "message": envelope.message_id(found),
                "broker": self.address,
            }
        return message

    def _is_current(self, delivery: Delivery, found: envelope.Envelope) -> bool:
        now_ms = self.connection.clock.wall_ms()
        expires_ms, due_ms = envelope.expires_at_ms(found), envelope.due_at_ms(found)
        if expires_ms is not None and expires_ms <= now_ms:
            self.consumer.finish(delivery.id)
        elif due_ms is not None and due_ms > now_ms + DUE_MARGIN_MS and self.consumer.rescheduled.may_wait(found):
            fair = envelope.fair_of(found.get("headers"))
            self.consumer.reschedule(delivery.id, envelope.message_id(found), due_ms, fair)
        else:
            return True
        return False
