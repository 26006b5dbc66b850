"""A dead letter as an operator sees it: what the store has, and what can be read of the message."""

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hive.store.values import DeadLetter

#: What differs between failures of one kind: ids, addresses, numbers, quoted values.
_VARIABLE = re.compile(r"0x[0-9a-fA-F]+|[0-9a-f]{8}-[0-9a-f-]{27,}|'[^']*'|\"[^\"]*\"|\d[\d,._]*")


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A dead letter. What is not looked at is not worked out: whoever tells of thousands needs little of each.

    Attributes:
        stored: as the broker has it: reason, cause, traceback, history, raw bytes.
        envelope: the message, as far as it can be read; empty if it cannot.
    """

    stored: DeadLetter
    envelope: dict[str, Any]

    @classmethod
    def of(cls, stored: DeadLetter) -> "Letter":
        """Read what can be read of a dead letter; nothing it holds can make this fail."""
        return cls(stored=stored, envelope=_envelope(stored.payload))

    @cached_property
    def headers(self) -> dict[str, Any]:
        """The headers of the message; empty if they cannot be read."""
        headers = self.envelope.get("headers")
        return headers if isinstance(headers, dict) else {}

    @cached_property
    def task(self) -> str:
        """Name of the task; empty if it cannot be read."""
        name = self.headers.get("task")
        return name if isinstance(name, str) else ""

    @cached_property
    def task_id(self) -> str:
        """Id of the invocation; empty if it cannot be read."""
        id_ = self.headers.get("id")
        return id_ if isinstance(id_, str) else ""

    @cached_property
    def call(self) -> tuple[Any, Any] | None:
        """The decoded arguments and keyword arguments; ``None`` if they cannot be read."""
        return _call(self.envelope)

    @cached_property
    def fingerprint(self) -> str:
        """The same for all letters of a kind."""
        return fingerprint(self.stored.reason, self.task, self.stored.cause)

    def described(self) -> dict[str, Any]:
        """Return all of it, ready for JSON; the raw bytes in base64."""
        stored = self.stored
        return {
            **self.summary(),
            "traceback": stored.traceback,
            "message_id": stored.message_id,
            "edited_at_ms": stored.edited_at_ms,
            "deliveries": [
                {"worker": one.worker, "consumer": one.consumer, "at_ms": one.at_ms, "how": one.how}
                for one in stored.history
            ],
            "headers": self.headers,
            "args": self.call[0] if self.call else None,
            "kwargs": self.call[1] if self.call else None,
            "payload_b64": base64.b64encode(stored.payload).decode(),
        }

    def summary(self) -> dict[str, Any]:
        """Return what a line of a list says."""
        stored = self.stored
        return {
            "id": stored.id,
            "queue": stored.queue,
            "reason": stored.reason,
            "cause": stored.cause,
            "task": self.task,
            "task_id": self.task_id,
            "at_ms": stored.at_ms,
            "priority": stored.priority,
            "redriven": stored.redriven,
            "size_bytes": len(stored.payload),
            "fingerprint": self.fingerprint,
        }


def fingerprint(reason: str, task: str, cause: str) -> str:
    """Return twelve hex digits that letters of one reason, task and cause have in common, numbers and names aside."""
    kind = "\0".join((reason, task, _VARIABLE.sub("#", cause)))
    return hashlib.blake2b(kind.encode("utf-8", "backslashreplace"), digest_size=6).hexdigest()


def edited(payload: bytes, args: Any, kwargs: Any) -> bytes | None:
    """Return a message's bytes with other arguments, all else as it was; ``None`` if it is no readable call.

    Args:
        payload: the envelope.
        args: the new arguments, or ``None`` to keep them.
        kwargs: the new keyword arguments, or ``None`` to keep them.
    """
    envelope = _envelope(payload)
    body = _body(envelope)
    if not isinstance(body, list) or len(body) != 3:
        return None
    body[0] = body[0] if args is None else args
    body[1] = body[1] if kwargs is None else kwargs
    text = json.dumps(body)
    headers = envelope["headers"]
    headers["argsrepr"], headers["kwargsrepr"] = repr(body[0]), repr(body[1])
    is_base64 = envelope["properties"].get("body_encoding") == "base64"
    envelope["body"] = base64.b64encode(text.encode()).decode() if is_base64 else text
    return json.dumps(envelope).encode()


def _envelope(payload: bytes) -> dict[str, Any]:
    try:
        envelope = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _body(envelope: dict[str, Any]) -> Any:
    properties, body = envelope.get("properties"), envelope.get("body")
    if not isinstance(properties, dict) or not isinstance(body, str) or not isinstance(envelope.get("headers"), dict):
        return None
    try:
        raw = base64.b64decode(body) if properties.get("body_encoding") == "base64" else body
        return json.loads(raw)
    except (ValueError, RecursionError, binascii.Error):
        return None


def _call(envelope: dict[str, Any]) -> tuple[Any, Any] | None:
    body = _body(envelope)
    return (body[0], body[1]) if isinstance(body, list) and len(body) == 3 else None
