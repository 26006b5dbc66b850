"""The fence of a running task: which delivery it runs for, as its pool child knows it."""

from dataclasses import dataclass
from typing import Any

from hive.store.values import DeliveryId


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What a task must present before it changes anything.

    Attributes:
        consumer: id of the worker process that claimed the message.
        queue: the queue it was claimed from.
        token: the delivery's fencing token.
        message: id under which the deaths of the message are counted.
        broker: address of the broker that gave the delivery, the only one that knows its token.
    """

    consumer: str
    queue: str
    token: int
    message: str
    broker: str = ""

    @property
    def delivery(self) -> DeliveryId:
        """The name of the delivery."""
        return DeliveryId(queue=self.queue, token=self.token)

    @classmethod
    def of(cls, request: Any) -> "Fence | None":
        """Return the fence a pool's task must present; None: acknowledged early, called directly, or not through hive."""
        info = getattr(request, "delivery_info", None)
        found = info.get("hive") if info else None
        return cls(**found) if found else None

    @classmethod
    def of_message(cls, message: Any) -> "Fence | None":
        """Return the fence of a message, or None: a fanout message, or not through hive."""
        found = getattr(message, "fence", None)
        return cls(**found) if found else None
