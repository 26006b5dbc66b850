"""A clock that stands still until it is turned."""


class ManualClock:
    """Both clocks of :mod:`hive.clock`, moved by hand only.

    Args:
        wall_ms: milliseconds since 1970 that the wall clock shows at first.
        monotonic_s: seconds that the monotonic clock shows at first.
    """

    def __init__(self, wall_ms: int = 1_700_000_000_000, monotonic_s: float = 0.0) -> None:
        self._wall_ms = wall_ms
        self._monotonic_s = monotonic_s

    def wall_ms(self) -> int:
        """Milliseconds since 1970 in UTC, as set."""
        return self._wall_ms

    def monotonic_s(self) -> float:
        """Seconds that never go back, as advanced."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks.

        Raises:
            ValueError: ``seconds`` is negative; the wall clock alone can go back, by :meth:`step`.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back by itself ({seconds:g} s): use step()")
        self._monotonic_s += seconds
        self._wall_ms += round(seconds * 1000)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or a time server does; the monotonic clock stays."""
        self._wall_ms += round(seconds * 1000)
