"""The recent past of a series, bounded."""

from collections.abc import Iterable


class History:
    """The last values of a series, one per interval.

    Args:
        capacity: how many values are kept at least; up to twice as many are held between two trims.
        values: the first ones, oldest first.
    """

    def __init__(self, capacity: int, values: Iterable[float] = ()) -> None:
        if capacity < 1:
            raise ValueError(f"a history keeps at least one value, not {capacity}")
        self._capacity = capacity
        self._values: list[float] = []
        for value in values:
            self.append(value)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def capacity(self) -> int:
        """How many values are kept at least."""
        return self._capacity

    def append(self, value: float) -> None:
        """Add the value of the interval that has just ended."""
        self._values.append(value)
        if len(self._values) > 2 * self._capacity:
            del self._values[: -self._capacity]

    def ago(self, steps: int) -> float:
        """Return the value ``steps`` intervals back; 1 is the latest. Raises IndexError beyond what is held."""
        if not 1 <= steps <= len(self._values):
            raise IndexError(f"{steps} steps back of {len(self._values)} values")
        return self._values[-steps]

    def last(self, count: int) -> list[float]:
        """Return the latest ``count`` values, or all if there are fewer, oldest first."""
        return self._values[-count:] if count > 0 else []
