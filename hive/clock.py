"""Two clocks that are never mixed: wall time for what is stored, monotonic time for differences."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from; a test hands in ``hive.testing.ManualClock`` instead."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 in UTC, for what is stored or shown."""

    def monotonic_s(self) -> float:
        """Seconds that never go back, for differences only."""


class SystemClock:
    """The clocks of this host."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 in UTC, for what is stored or shown."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back, for differences only."""
        return time.monotonic()
