"""Limits: what may be granted in any sliding window, and when there will be room again. Pure arithmetic.

A window is counted in two hundred slices. A slice counts until all of it has left the window, so that no sliding window of
the stated length ever holds more than the limit, whatever instant it begins at; the price is that at most half a hundredth of
the limit stays unused. What a key costs in memory is bounded by its slices, not by its requests or tokens.
"""

import math
import string
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hive.errors import InputError

#: Slices of a window.
SLICES = 200

#: Money is counted in millionths, so that sums are exact.
MICRO = 1_000_000

#: What stands for a field of a key that a call does not have.
ABSENT = "-"


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    """Each reservation is one."""
    TOKENS = "tokens"
    """Of a model: what a call is expected to use, set right once it is known."""
    MONEY = "money"
    """In whatever currency the caller counts."""
    CONCURRENCY = "concurrency"
    """How many hold a place at the same time (a bulkhead)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much a key may use; build it with one of the four class methods.

    Attributes:
        unit: what is counted.
        amount: how much of it in any sliding window; for concurrency, how many at once.
        key: whom it is counted for: a template such as ``"openai:{tenant}"``, whose fields are a call's arguments by
            name and its headers. A field that a call lacks is ``-``: all such calls share one key.
        per_s: length of the window in seconds; 0 for concurrency.
        estimate: what a call is expected to use: a number, or the name of the argument or header that holds it.
    """

    unit: Unit
    amount: float
    key: str
    per_s: float = 0.0
    estimate: float | str = 1

    def __post_init__(self) -> None:
        if self.amount <= 0 or not math.isfinite(self.amount):
            raise InputError(f"the limit {self.key!r} allows {self.amount} {self.unit}: it must be more than 0")
        if self.unit is not Unit.CONCURRENCY and self.per_s < 0.01:
            raise InputError(f"the limit {self.key!r} needs a window of at least 0.01 s, not {self.per_s:g}")
        if isinstance(self.estimate, int | float) and self.estimate > self.amount:
            raise InputError(
                f"the limit {self.key!r} allows {self.amount:g} {self.unit}, less than one call needs ({self.estimate:g})"
            )

    @classmethod
    def requests(cls, amount: int, *, per_s: float, key: str) -> "Limit":
        """At most ``amount`` grants in any window of ``per_s`` seconds."""
        return cls(unit=Unit.REQUESTS, amount=amount, per_s=per_s, key=key)

    @classmethod
    def tokens(cls, amount: int, *, per_s: float, key: str, estimate: int | str) -> "Limit":
        """At most ``amount`` tokens in any window; ``estimate`` is reserved before a call, settled after it."""
        return cls(unit=Unit.TOKENS, amount=amount, per_s=per_s, key=key, estimate=estimate)

    @classmethod
    def money(cls, amount: float, *, per_s: float, key: str, estimate: float | str) -> "Limit":
        """At most ``amount`` of money in any window; ``estimate`` is reserved before a call, settled after it."""
        return cls(unit=Unit.MONEY, amount=amount, per_s=per_s, key=key, estimate=estimate)

    @classmethod
    def concurrency(cls, amount: int, *, key: str) -> "Limit":
        """At most ``amount`` at the same time; a dead process' places are free again within seconds."""
        return cls(unit=Unit.CONCURRENCY, amount=amount, key=key)

    @property
    def window_ms(self) -> int:
        """Length of the window in milliseconds; 0 for concurrency."""
        return round(self.per_s * 1000)

    @property
    def scaled(self) -> int:
        """The amount as the broker counts it."""
        return math.floor(self.amount * self._scale)

    @property
    def _scale(self) -> int:
        return MICRO if self.unit is Unit.MONEY else 1

    def scale(self, used: float) -> int:
        """Return what a call uses as the broker counts it, rounded up."""
        return math.ceil(used * self._scale)

    def name_for(self, fields: Mapping[str, Any]) -> str:
        """Return the name under which a call with these fields is counted.

        Raises:
            InputError: the template is malformed.
        """
        filled = fill(self.key, fields)
        return f"{self.unit}:{filled}" if self.unit is Unit.CONCURRENCY else f"{self.unit}:{self.window_ms}:{filled}"

    def estimate_for(self, fields: Mapping[str, Any], given: float | None = None) -> int:
        """Return what is to be reserved for a call, as the broker counts it.

        Args:
            fields: of the call.
            given: the caller's own estimate, which counts more than the declared one.

        Raises:
            InputError: it is no positive number, or over the limit, so that it could never be granted.
        """
        if self.unit in {Unit.REQUESTS, Unit.CONCURRENCY}:
            return 1
        value: Any = self.estimate if given is None else given
        if isinstance(value, str):
            value = fields.get(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= self.amount:
            raise InputError(
                f"the limit {self.key!r} cannot reserve {value!r} {self.unit}: it takes more than 0 and at most "
                f"{self.amount:g}"
            )
        return self.scale(value)


class _Fields(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ABSENT


def fill(template: str, fields: Mapping[str, Any]) -> str:
    """Return a key template with its fields put in; a field that is not there is ``-``.

    Raises:
        InputError: the template is malformed, or asks for more than a field's text.
    """
    try:
        return string.Formatter().vformat(template, (), _Fields(fields))
    except (ValueError, IndexError, AttributeError, TypeError, KeyError) as error:
        raise InputError(f"the key template {template!r} cannot be filled: {error}") from error


def slice_ms(window_ms: int) -> int:
    """Return the length of one slice of a window in milliseconds."""
    return max(math.ceil(window_ms / SLICES), 1)


class SlidingWindow:
    """One window of one key, in memory: what a process counts by itself while the broker is away.

    Args:
        limit: most that any window may hold.
        window_ms: its length.
    """

    def __init__(self, limit: int, window_ms: int) -> None:
        self.limit, self.window_ms = limit, window_ms
        self.slice_ms = slice_ms(window_ms)
        self._slices: dict[int, int] = {}

    def room_at_ms(self, amount: int, now_ms: int) -> int:
        """Return when ``amount`` fits if nothing else is granted: ``now_ms`` if it fits already."""
        first_counted = (now_ms - self.window_ms) // self.slice_ms
        self._slices = {place: used for place, used in self._slices.items() if place >= first_counted}
        over = sum(self._slices.values()) + amount - self.limit
        if over <= 0:
            return now_ms
        for place, used in sorted(self._slices.items()):
            over -= used
            if over <= 0:
                return (place + 1) * self.slice_ms + self.window_ms
        raise InputError(f"{amount} never fits into a limit of {self.limit}")

    def grant(self, amount: int, now_ms: int) -> None:
        """Count what was granted."""
        place = now_ms // self.slice_ms
        self._slices[place] = self._slices.get(place, 0) + amount
