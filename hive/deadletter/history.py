"""What a message says about its own past, and what of that keeps a redriven one from being done.

A redrive leaves the bytes as they are. So a call whose deadline has passed ends at once again, and a task whose retries are
used up gets one attempt. An operator who wants neither redrives it afresh: then the bytes are others, and the ids the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

#: Header: the deadline in milliseconds since 1970; a retry keeps it.
DEADLINE = "hive_deadline_ms"

#: Header: what a retried message carries about the attempts before it.
RETRY = "hive_retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What stands against a redriven message.

    Attributes:
        is_late: its deadline has passed, or it has expired: it ends without a run, with its fallback if it has one.
        retries: attempts after the first that it has had; they count.
    """

    is_late: bool
    retries: int


def past_of(headers: Mapping[str, Any], now_ms: int) -> Past:
    """Return what a message's headers say of its past."""
    deadline_ms, retries = headers.get(DEADLINE), headers.get("retries")
    is_late = isinstance(deadline_ms, int) and deadline_ms <= now_ms
    return Past(
        is_late=is_late or _has_expired(headers.get("expires"), now_ms),
        retries=retries if isinstance(retries, int) else 0,
    )


def afresh(payload: bytes) -> bytes | None:
    """Return a message's bytes as of a first attempt without deadline and expiry; ``None``: it is none, or was so before."""
    try:
        envelope = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    headers = envelope.get("headers") if isinstance(envelope, dict) else None
    if not isinstance(headers, dict):
        return None
    others = {name: value for name, value in headers.items() if name not in {DEADLINE, RETRY}}
    others |= {name: value for name, value in (("retries", 0), ("expires", None)) if name in others}
    if others == headers:
        return None
    return json.dumps({**envelope, "headers": others}).encode()


def _has_expired(expires: object, now_ms: int) -> bool:
    if not isinstance(expires, str):
        return False
    try:
        at = datetime.fromisoformat(expires)
    except ValueError:
        return False
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000 <= now_ms
