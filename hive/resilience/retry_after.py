"""How long another system asks to be left alone: `Retry-After` as a number of seconds or a date."""

import math
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

#: Longest seconds believed; what asks for more is taken for nonsense and held to this.
LONGEST_S = 86_400.0


def retry_after_s(error: BaseException, now_ms: int) -> float | None:
    """Return the seconds an error asks to wait, at most a day; ``None``: it says nothing that can be read.

    Looked at are the error's ``retry_after`` and ``retry_after_s``, then the headers ``Retry-After-Ms`` and ``Retry-After`` of the error or of
    its response.

    Args:
        error: what was raised.
        now_ms: milliseconds since 1970, which a date is compared with.
    """
    for owner in (error, getattr(error, "response", None)):
        for name in ("retry_after", "retry_after_s"):
            found = _seconds(getattr(owner, name, None), now_ms)
            if found is not None:
                return found
        headers = getattr(owner, "headers", None)
        found = _seconds(_header(headers, "Retry-After-Ms"), now_ms, unit_s=0.001)
        if found is None:
            found = _seconds(_header(headers, "Retry-After"), now_ms)
        if found is not None:
            return found
    return None


def _header(headers: Any, name: str) -> Any:
    """Return a header whatever its case; libraries hand out anything from their own mapping to a plain dict."""
    get = getattr(headers, "get", None)
    if get is None:
        return None
    found = get(name)
    return get(name.lower()) if found is None else found


def _seconds(value: Any, now_ms: int, unit_s: float = 1.0) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, timedelta):
        return _believed(value.total_seconds())
    try:
        return _believed(float(value) * unit_s)
    except (TypeError, ValueError):
        return _until(value, now_ms)


def _until(value: Any, now_ms: int) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return _believed(date.timestamp() - now_ms / 1000)


def _believed(seconds: float) -> float | None:
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_S)
