"""What becomes of a message that cannot be run here: set aside for the operator, or left to who knows its task."""

from collections.abc import Callable

from hive.store.condemned import Condemned
from hive.store.values import Delivery
from hive.transport import envelope
from hive.transport.link import Linked
from hive.transport.message import HiveMessage


class SettingAside(Linked):
    """How a channel ends deliveries without a run."""

    def dead_letter(self, message: HiveMessage, reason: str, cause: str, traceback: str = "") -> None:
        """Set a delivered message aside with its raw bytes, for the operator.

        Args:
            message: as delivered by this channel.
            reason: a short word to filter by.
            cause: a sentence.
            traceback: where it failed, if something was raised.
        """
        message.is_set_aside = True
        self.qos.dead_letter(_condemned(message, reason, cause, traceback))

    def postpone(
        self,
        message: HiveMessage,
        reason: str,
        cause: str,
        *,
        grace_s: float,
        look_s: float,
        on_over: Callable[[], None],
    ) -> None:
        """Let a delivered message wait on the broker for a worker that knows its task.

        Args:
            message: as delivered by this channel.
            reason: why it is set aside once its grace time is over.
            cause: the same as a sentence.
            grace_s: seconds from the first time any worker postponed it.
            look_s: seconds until it is looked at again.
            on_over: called if it has been set aside instead.
        """
        message.is_set_aside = True
        self.qos.postpone(_condemned(message, reason, cause, ""), grace_s, look_s, on_over)

    def _condemn(self, delivery: Delivery, reason: str, cause: str) -> None:
        """Set aside what is no message; one that is not acknowledged has no record and only goes."""
        if delivery.id.token:
            self.consumer.dead_letter(Condemned(id=delivery.id, reason=reason, cause=cause))
            self.settle_soon()


def _condemned(message: HiveMessage, reason: str, cause: str, traceback: str) -> Condemned:
    known = envelope.message_id({"properties": message.properties})
    return Condemned(id=message.delivery_tag, reason=reason, cause=cause, message_id=known, traceback=traceback)
