"""What one process grants by itself while the broker is away: a stated fraction of each limit."""

import threading

from hive.resilience.limiter import SlidingWindow
from hive.store.limiting import Granted, Refused, Wanted

#: When one that finds no place of a concurrency limit is to come again.
PLACE_WAIT_MS = 200


class LocalLimits:
    """Windows and places of this process alone; threads may share it.

    Args:
        fraction: of each limit that this process grants; of all processes together it is that times their number.
    """

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction
        self._windows: dict[str, SlidingWindow] = {}
        self._holders: dict[str, set[str]] = {}
        self._mutex = threading.Lock()

    def reserve(self, who: str, wanted: tuple[Wanted, ...], now_ms: int) -> Granted | Refused:
        """Reserve all of it or nothing, within the fraction; what is over the fraction by itself is never granted.

        Args:
            who: asks.
            wanted: of each limit.
            now_ms: of this process' own clock.
        """
        with self._mutex:
            for one in wanted:
                room_ms = self._room_at_ms(one, who, now_ms)
                if room_ms > now_ms:
                    return Refused(now_ms=now_ms, again_ms=room_ms, name=one.name)
            for one in wanted:
                if one.window_ms:
                    self._window(one).grant(one.amount, now_ms)
                else:
                    self._holders.setdefault(one.name, set()).add(who)
        return Granted(now_ms=now_ms, slices=(0,) * len(wanted))

    def release(self, who: str, names: tuple[str, ...]) -> None:
        """Give places back. A repeat finds none."""
        with self._mutex:
            for name in names:
                self._holders.get(name, set()).discard(who)

    def _room_at_ms(self, one: Wanted, who: str, now_ms: int) -> int:
        most = int(one.most * self._fraction)
        if not one.window_ms:
            held = len(self._holders.get(one.name, set()) - {who})
            return now_ms if held < most else now_ms + PLACE_WAIT_MS
        if one.amount > most:
            return now_ms + one.window_ms
        return self._window(one).room_at_ms(one.amount, now_ms)

    def _window(self, one: Wanted) -> SlidingWindow:
        return self._windows.setdefault(one.name, SlidingWindow(int(one.most * self._fraction), one.window_ms))
