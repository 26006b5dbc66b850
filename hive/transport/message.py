"""A message as hive's channel delivers it."""

from binascii import a2b_base64
from json import JSONDecoder
from logging import Logger
from sys import intern
from typing import Any

from kombu.exceptions import MessageStateError
from kombu.serialization import registry
from kombu.transport.virtual import base
from kombu.utils.json import loads as kombu_loads

from hive.transport.envelope import TYPE_MARK

JSON = "application/json"

_decode_plainly = JSONDecoder().decode


class HiveMessage(base.Message):
    """A message from a hive queue.

    Attributes:
        fence: what a task must present before it changes anything; None for fanout and unacknowledged messages.
        consumer: who holds the delivery; None as above.
        cause_of_death: set where a rejection means that the pool child was lost under it.
        is_set_aside: whether it has become a dead letter.
    """

    fence: dict[str, Any] | None = None
    consumer: Any = None
    cause_of_death: str = ""
    is_set_aside: bool = False

    accept: Any
    errors: Any

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        properties, headers, body = payload["properties"], payload.get("headers") or {}, payload.get("body")
        if (
            kwargs
            or "compression" in headers
            or not isinstance(body, str)
            or properties.get("body_encoding") != "base64"
        ):
            super().__init__(payload, channel, **kwargs)
            # What was decoded from it is kept, and nobody asks for it as it came.
            self._raw = None
            return
        # What kombu's two constructors do with a message of Celery's, without their conversions between text and bytes.
        self._raw, self.errors, self.accept = None, [], None
        self.body = a2b_base64(body.encode())
        # Thousands of messages may wait in a process: their keys are the same few words, and half of what they take up.
        self.properties = {intern(name): value for name, value in properties.items()}
        self.channel, self.headers = channel, {intern(name): value for name, value in headers.items()}
        self.delivery_tag, self.delivery_info = properties["delivery_tag"], properties.get("delivery_info") or {}
        self.content_type, self.content_encoding = payload.get("content-type"), payload.get("content-encoding")
        self._decoded_cache, self._state = None, "RECEIVED"

    def _decode(self) -> Any:
        """Return the decoded body. JSON without kombu's marks for types is decoded in C; kombu raises what is wrong."""
        if self._is_plain_json:
            try:
                return _decode_plainly(self.body.decode())
            except (ValueError, RecursionError):
                pass
        return super()._decode()

    @property
    def _is_plain_json(self) -> bool:
        return (
            self.content_type == JSON
            and self.content_encoding == "utf-8"
            and self.accept is not None
            and JSON in self.accept
            and isinstance(self.body, bytes)
            and TYPE_MARK not in self.body
            # Such a mark may be written with escapes.
            and b"\\u" not in self.body
            and registry._decoders.get(JSON) is kombu_loads
        )

    def ack(self, *args: Any, **kwargs: Any) -> None:
        """Acknowledge; for a message that was set aside there is nothing left to say."""
        if not self.is_set_aside:
            super().ack(*args, **kwargs)

    def reject(self, *args: Any, **kwargs: Any) -> None:
        """Reject; for a message that was set aside there is nothing left to say."""
        if not self.is_set_aside:
            super().reject(*args, **kwargs)

    def end(self, logger: Logger, errors: tuple[type[Exception], ...]) -> None:
        """Acknowledge for a worker's request, which has no use for an error; one that had ended is logged."""
        try:
            self.ack_log_error(logger, errors)
        except MessageStateError as error:
            logger.warning("cannot acknowledge %r: %s", self.delivery_tag, error)

    def give_up(self, logger: Logger, errors: tuple[type[Exception], ...], requeue: bool = False) -> None:
        """Reject for a worker's request, which has no use for an error; one that had ended is logged."""
        try:
            self.reject_log_error(logger, errors, requeue)
        except MessageStateError as error:
            logger.warning("cannot reject %r: %s", self.delivery_tag, error)
