"""A message as hive's channel delivers it."""

from typing import Any

from kombu.transport.virtual import base


class HiveMessage(base.Message):
    """A message from a hive queue.

    Attributes:
        fence: what a task must present before it changes anything; None for fanout and unacknowledged messages.
        cause_of_death: set where a rejection means that the pool child was lost under it.
        is_set_aside: whether it has become a dead letter.
    """

    fence: dict[str, Any] | None = None
    cause_of_death: str = ""
    is_set_aside: bool = False

    def ack(self, *args: Any, **kwargs: Any) -> None:
        """Acknowledge; for a message that was set aside there is nothing left to say."""
        if not self.is_set_aside:
            super().ack(*args, **kwargs)

    def reject(self, *args: Any, **kwargs: Any) -> None:
        """Reject; for a message that was set aside there is nothing left to say."""
        if not self.is_set_aside:
            super().reject(*args, **kwargs)
