"""Whose turn a message waits for: the key it was published with."""

from typing import NamedTuple
from urllib.parse import quote

from hive.errors import InputError

#: Bounds of a weight: how often a key's turn comes, measured by the others.
WEIGHT_MIN, WEIGHT_MAX = 0.01, 100.0

#: Characters of a key.
KEY_MAX = 200


class Fair(NamedTuple):
    """Whose turn a message waits for.

    Attributes:
        key: such as a tenant.
        weight: how many messages of it come in turn for one of a key of weight 1.
    """

    key: str
    weight: float = 1.0

    @classmethod
    def checked(cls, key: str, weight: float = 1.0) -> "Fair":
        """Return it if it can be used.

        Raises:
            InputError: the key is empty or too long, or the weight out of bounds.
        """
        if not 0 < len(key) <= KEY_MAX:
            raise InputError(f"a fair_key has 1 to {KEY_MAX} characters, not {len(key)}")
        if not WEIGHT_MIN <= weight <= WEIGHT_MAX:
            raise InputError(f"the weight of fair_key {key!r} must be {WEIGHT_MIN} to {WEIGHT_MAX}, not {weight!r}")
        return cls(key, weight)

    @property
    def mark(self) -> str:
        """What stands for it beside a message on the broker."""
        return f";{quote(self.key, safe='', errors='backslashreplace')};{self.weight:g}"


def mark_of(fair: Fair | None) -> str:
    """Return what stands beside a message; empty: it waits for nobody's turn."""
    return "" if fair is None else fair.mark
