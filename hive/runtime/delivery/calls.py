"""The call that a message on the broker holds."""

import base64
from typing import Any

from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.serialization import loads, prepare_accept_content

from hive.runtime.delivery.inspection import BROKEN
from hive.transport.envelope import Envelope

#: What decoding a body of somebody's making may raise.
UNDECODABLE = (ContentDisallowed, DecodeError, *BROKEN)


def call_of(app: Any, envelope: Envelope) -> tuple[Any, Any, dict[str, Any]]:
    """Return arguments, keyword arguments and what follows of a task's message.

    Args:
        app: whose content types are accepted.
        envelope: as kombu wrote it.

    Raises:
        one of ``UNDECODABLE``: it holds no call that can be read here.
    """
    body: Any = envelope["body"]
    if envelope["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body)
    accept = prepare_accept_content(app.conf.accept_content)
    args, kwargs, embed = loads(body, envelope["content-type"], envelope["content-encoding"], accept=accept)
    return args, kwargs, embed or {}
