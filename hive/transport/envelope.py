"""The envelope kombu puts around a message: reading one that may be broken, and what delivery must know of it."""

import os
import uuid
from datetime import UTC, datetime
from json import JSONDecodeError, JSONDecoder
from typing import Any

from kombu.utils.json import JSONEncoder
from kombu.utils.json import loads as kombu_loads

from hive.deadletter.poison import Reason
from hive.errors import InputError
from hive.store.lane import LANE
from hive.store.turn import Fair

#: kombu writes Python types it knows (dates, bytes) as objects with this key.
TYPE_MARK = b'"__type__"'

#: Properties that never leave the process: the id of one publish, and the fence of the delivery it follows from.
PUBLISH_ID = "hive_publish_id"
FOLLOWS = "hive_follows"

#: Headers of a message that waits for its key's turn.
FAIR_KEY = "hive_fair_key"
FAIR_WEIGHT = "hive_fair_weight"

#: Another of them: the guard a message is published under (:class:`hive.store.guard.Guard`).
GUARD = "hive_guard"

#: Another of them: the due time of beat that a message is published for (:class:`hive.store.beat_entries.Firing`).
FIRES = "hive_fires"

#: None of them is published: a copy of the message would be taken for its repeat.
_OURS = frozenset({PUBLISH_ID, FOLLOWS, GUARD, FIRES, LANE})

_decode = JSONDecoder().decode
_encode = JSONEncoder().encode


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_decode_strictly = JSONDecoder(parse_constant=_refuse).decode

Envelope = dict[str, Any]


class UnreadableError(ValueError):
    """Bytes on a queue are not a message; the text says why, and ``reason`` in a word."""

    def __init__(self, reason: Reason, text: str) -> None:
        self.reason = reason
        super().__init__(text)


def read(raw: bytes) -> Envelope:
    """Return the envelope that ``raw`` holds.

    Raises:
        UnreadableError: it is not UTF-8, not JSON, nested too deeply, or lacks what kombu needs to deliver it.
    """
    try:
        envelope = kombu_loads(raw) if TYPE_MARK in raw else _decode(raw.decode())
    except UnicodeDecodeError as error:
        raise UnreadableError(Reason.NOT_UTF8, f"not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise UnreadableError(Reason.TOO_DEEP, "nested deeper than the parser can follow") from error
    except JSONDecodeError as error:
        raise UnreadableError(Reason.NOT_JSON, f"not JSON: {error.msg} at character {error.pos}") from error
    except (ValueError, TypeError) as error:
        raise UnreadableError(Reason.NOT_JSON, f"not readable JSON: {error}") from error
    missing = _missing(envelope)
    if missing:
        _require_strict(raw)
        raise UnreadableError(Reason.NOT_AN_ENVELOPE, f"not an envelope: {missing}")
    return envelope


def _require_strict(raw: bytes) -> None:
    """Tell JSON from what only Python reads as such; a message with a NaN is let through, as stock Celery does."""
    try:
        _decode_strictly(raw.decode())
    except ValueError as error:
        raise UnreadableError(Reason.NOT_JSON, f"not JSON: {error}") from error


def _missing(envelope: object) -> str:
    """Return what kombu needs to deliver an envelope and it lacks; empty: nothing."""
    if not isinstance(envelope, dict):
        return "a JSON object is needed"
    properties = envelope.get("properties")
    if not isinstance(properties, dict) or not properties.get("delivery_tag"):
        return "no properties with a delivery_tag"
    if not isinstance(properties.get("delivery_info"), dict):
        return "no delivery_info"
    if not isinstance(envelope.get("body"), str):
        return "the body is not text"
    if not isinstance(envelope.get("headers"), dict | None):
        return "the headers are not an object"
    return ""


def message_id(envelope: Envelope) -> str:
    """Return the name under which the starts of a message are counted: kombu's delivery tag."""
    text = str(envelope["properties"]["delivery_tag"])
    # Half of a surrogate pair, which JSON may hold, can be in no key.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def publish_id(envelope: Envelope) -> str:
    """Return what every try of one publish has in common; another publish of the same task has another.

    kombu gives each try a new delivery tag, but hands the same properties to all of them.
    """
    properties = envelope["properties"]
    if PUBLISH_ID not in properties:
        properties[PUBLISH_ID] = uuid.uuid4().hex
    known: str = properties[PUBLISH_ID]
    return known


def new_id() -> str:
    """Return a random UUID (version 4) as text, as ``uuid.uuid4`` makes it in twice the time."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def fence(envelope: Envelope) -> dict[str, Any] | None:
    """Return the fence of the delivery from which a message to be published follows, or None."""
    found: dict[str, Any] | None = envelope["properties"].get(FOLLOWS)
    return found


def step_id(envelope: Envelope) -> str:
    """Return what a step that follows from a task has in common with its repeat by a later delivery of that task."""
    headers = envelope.get("headers") or {}
    return f"{headers.get('id')}:{headers.get('retries') or 0}:{headers.get('replaced_task_nesting') or 0}:{headers.get('task')}"


def written(envelope: Envelope) -> bytes:
    """Return an envelope as it lies on the broker, without what only its publishing needs.

    Raises:
        TypeError: kombu's JSON cannot express it.
    """
    properties = {name: value for name, value in envelope["properties"].items() if name not in _OURS}
    return _encode({**envelope, "properties": properties}).encode()


def fair_of(headers: object) -> Fair | None:
    """Return whose turn a message with these headers waits for, or None: nobody's, or they are not of our making."""
    if not isinstance(headers, dict) or FAIR_KEY not in headers:
        return None
    try:
        return Fair.checked(headers[FAIR_KEY], headers.get(FAIR_WEIGHT, 1.0))
    except (InputError, TypeError):
        return None


def due_at_ms(envelope: Envelope) -> int | None:
    """Return when a task may start (milliseconds since 1970), or None for at once or if its eta cannot be read."""
    eta = (envelope.get("headers") or {}).get("eta")
    return _instant_ms(eta) if eta else None


def expires_at_ms(envelope: Envelope) -> int | None:
    """Return when a message that is no task expires, or None.

    A task's own expiry is left to Celery, which marks the task as revoked; a message without a task would only rot.
    """
    if (envelope.get("headers") or {}).get("expires"):
        return None
    value = envelope["properties"].get("hive_expires_at_ms")
    return value if isinstance(value, int) else None


def mark_scheduled(envelope: Envelope) -> None:
    """Note in a message that its producer put it into the broker's scheduled set."""
    envelope["properties"]["hive_scheduled"] = True


def is_scheduled_by_us(envelope: Envelope) -> bool:
    """Whether the message was in the broker's scheduled set from the beginning; a stock producer's was not."""
    return bool(envelope["properties"].get("hive_scheduled"))


def stamp_expiry(envelope: Envelope, now_ms: int) -> None:
    """Note beside a message with an ``expiration`` (milliseconds, as text) when that is."""
    properties = envelope["properties"]
    expiration = properties.get("expiration")
    if expiration is not None and "hive_expires_at_ms" not in properties:
        properties["hive_expires_at_ms"] = now_ms + int(float(expiration))


def stamp_published(envelope: Envelope, now_ms: int) -> None:
    """Note beside a message when it was published, for the age of what waits; a repeat keeps the first time."""
    envelope["properties"].setdefault("hive_published_at_ms", now_ms)


def ready_since_ms(envelope: Envelope) -> int | None:
    """Return since when a ready message may be claimed (publishing, or its due time), or None if nobody noted it."""
    published = envelope["properties"].get("hive_published_at_ms")
    if not isinstance(published, int):
        return None
    return max(published, due_at_ms(envelope) or 0)


def _instant_ms(text: object) -> int | None:
    try:
        instant = text if isinstance(text, datetime) else datetime.fromisoformat(str(text))
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        return int(instant.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
