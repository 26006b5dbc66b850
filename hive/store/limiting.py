"""Limits on the broker: reserve, settle, renew, release, list."""

from collections.abc import Sequence
from dataclasses import dataclass

from hive.resilience.limiter import MICRO, Unit, slice_ms
from hive.store.caller import Caller
from hive.store.faults import translated

#: How long a place of a concurrency limit outlives the last sign of the process that holds it, and how often it is renewed.
PLACE_LEASE_MS = 6_000
PLACE_RENEW_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a call needs of one limit.

    Attributes:
        name: what is counted, for whom.
        most: the limit.
        window_ms: its window; 0 for concurrency.
        amount: reserved for the call, at most ``most``.
    """

    name: str
    most: int
    window_ms: int
    amount: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """All that was wanted is reserved.

    Attributes:
        now_ms: when, on the broker's clock.
        slices: for each limit where in its window it is counted.
    """

    now_ms: int
    slices: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing is reserved.

    Attributes:
        now_ms: when, on the broker's clock.
        again_ms: when to come again, on the same clock; each caller is told its own turn.
        name: the limit that decided it.
    """

    now_ms: int
    again_ms: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFigures:
    """One limit of one key at about one instant.

    Attributes:
        name: ``<unit>:<window ms>:<key>``, or ``concurrency:<key>``.
        most: the limit.
        used: what counted in the window when it was last asked, 0 once that has passed; or how many hold a place.
        waiting: callers that were told to come again.
    """

    name: str
    most: float
    used: float
    waiting: int


class Limiting(Caller):
    """Counts what is granted, for all processes together.

    All limits share one hash tag, because one script takes several of them: in a cluster they live on one server.
    """

    def _limit_key(self, name: str, kind: str) -> str:
        return f"{self.layout.prefix}{{hive:limits}}:hive:{kind}:{name}"

    @property
    def _names(self) -> str:
        return f"{self.layout.prefix}{{hive:limits}}:hive:names"

    def reserve_limits(self, who: str, wanted: Sequence[Wanted], *, holder: str | None = None) -> Granted | Refused:
        """Reserve what a call needs of several limits, all of it or nothing.

        A repeat after a lost reply counts twice in windows, and once among places.

        Args:
            who: asks; the same name again keeps its place in line.
            wanted: at least one.
            holder: holds what is granted of concurrency limits, one place of each; ``who`` if not given.

        Raises:
            BrokerGoneError: no reply; it may have been reserved.
        """
        keys, arguments = [self._names], []
        for one in wanted:
            keys += [self._limit_key(one.name, kind) for kind in ("state", "line", "holders")]
            arguments += [one.name, one.most, one.window_ms, slice_ms(one.window_ms), one.amount]
        granted, now_ms, *rest = self.call(
            "limit_reserve", keys, self.now_argument(), who, holder or who, PLACE_LEASE_MS, *arguments
        )
        if granted:
            return Granted(now_ms=now_ms, slices=tuple(rest))
        return Refused(now_ms=now_ms, again_ms=rest[0], name=wanted[rest[1] - 1].name)

    def settle_limits(self, settled: Sequence[tuple[Wanted, int, int]]) -> None:
        """Set right what was reserved in windows; never repeat it.

        Args:
            settled: what was wanted, the slice it is counted in, and what was used.

        Raises:
            BrokerGoneError: no reply; it may have been settled, and stays so or counts as reserved.
        """
        windows = [one for one in settled if one[0].window_ms]
        if not windows:
            return
        keys = [self._limit_key(wanted.name, "state") for wanted, _, _ in windows]
        arguments: list[int] = []
        for wanted, place, used in windows:
            arguments += [wanted.window_ms, slice_ms(wanted.window_ms), place, wanted.amount, used]
        self.call("limit_settle", keys, self.now_argument(), *arguments)

    def release_places(self, who: str, names: Sequence[str], held_ms: int) -> int:
        """Give places of concurrency limits back; returns how many there were. Safe to repeat."""
        keys = [self._limit_key(name, kind) for name in names for kind in ("state", "holders")]
        return int(self.call("limit_release", keys, who, held_ms)) if names else 0

    def renew_places(self, held: Sequence[tuple[str, str]]) -> int:
        """Extend the leases of places (who, name); returns how many had ended meanwhile and were taken again."""
        if not held:
            return 0
        keys = [self._limit_key(name, "holders") for _, name in held]
        return int(self.call("limit_renew", keys, self.now_argument(), PLACE_LEASE_MS, *(who for who, _ in held)))

    def limits(self) -> tuple[LimitFigures, ...]:
        """Return the limits that were used lately, by name."""
        with translated("limits"):
            known: Sequence[bytes] = self.client.zrange(self._names, 0, -1)
            names = sorted(name.decode() for name in known)
            with self.client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.hmget(self._limit_key(name, "state"), "most", "sum", "last")
                    pipeline.zcard(self._limit_key(name, "holders"))
                    pipeline.zcard(self._limit_key(name, "line"))
                pipeline.time()
                *reply, (seconds, microseconds) = pipeline.execute()
            now_ms = self._now_ms() if self._now_ms else seconds * 1000 + microseconds // 1000
            states = dict(zip(names, (reply[place : place + 3] for place in range(0, len(reply), 3)), strict=True))
        return tuple(
            _figures(name, state, holders, waiting, now_ms)
            for name, (state, holders, waiting) in states.items()
            if state[0] is not None
        )


def _figures(name: str, state: Sequence[bytes | None], holders: int, waiting: int, now_ms: int) -> LimitFigures:
    most, used, last = (int(value or 0) for value in state)
    window_ms = 0 if name.startswith(Unit.CONCURRENCY) else int(name.split(":", 2)[1])
    # What counted when it was last asked; a window that has passed since holds nothing.
    is_over = window_ms > 0 and (last + 1) * slice_ms(window_ms) + window_ms <= now_ms
    scale = MICRO if name.startswith(Unit.MONEY) else 1
    return LimitFigures(name=name, most=most / scale, used=(0 if is_over else used) / scale + holders, waiting=waiting)
