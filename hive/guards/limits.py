"""Limits over the whole fleet: reserve before, settle with what it was after, give places back at the end."""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from hive.clock import Clock
from hive.guards.local_limits import LocalLimits
from hive.guards.places import Places
from hive.resilience.limiter import Limit, Unit
from hive.store.faults import BrokerGoneError
from hive.store.limiting import Granted, Limiting, Refused, Wanted

logger = logging.getLogger(__name__)

#: When to come again while the broker is away and nothing is granted without it.
AWAY_WAIT_MS = 1_000


class WhenAway(StrEnum):
    """What happens to limits while the broker is away."""

    LOCAL = "local"
    """Each process grants a fraction of every limit by itself."""
    REFUSE = "refuse"
    """Nothing is granted."""


@dataclass(slots=True, kw_only=True)
class Reservation:
    """What was granted to one call.

    Attributes:
        who: holds its places.
        wanted: what it reserved of each limit.
        slices: where each is counted in its window.
        since_s: when, on the process' own monotonic clock.
        is_local: whether the process granted it by itself, because the broker was away.
        is_settled: whether what was used is known.
    """

    who: str
    wanted: tuple[Wanted, ...]
    slices: tuple[int, ...]
    since_s: float
    is_local: bool = False
    is_settled: bool = field(default=False)

    @property
    def places(self) -> tuple[str, ...]:
        """Names of the concurrency limits of which it holds a place."""
        return tuple(one.name for one in self.wanted if not one.window_ms)

    def pack(self) -> list[Any]:
        """Return it as plain values, for another process that settles it."""
        wanted = [[one.name, one.most, one.window_ms, one.amount] for one in self.wanted]
        return [self.who, wanted, list(self.slices), self.is_local]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Reservation":
        """Return what :meth:`pack` gave, to be settled; it holds no places."""
        who, wanted, slices, is_local = packed
        return cls(
            who=who,
            wanted=tuple(
                Wanted(name=name, most=most, window_ms=window_ms, amount=amount)
                for name, most, window_ms, amount in wanted
            ),
            slices=tuple(slices),
            since_s=0.0,
            is_local=is_local,
        )


class Limiter:
    """Reserves for calls what limits allow, for all processes that share the broker. Threads may share it.

    Args:
        store: returns the broker, in whichever thread asks.
        clock: for how long places are held, and for windows while the broker is away.
        when_away: what happens while the broker is away; the log says when that begins and ends.
        local_fraction: of every limit, for a process that grants by itself.
    """

    def __init__(
        self, store: Callable[[], Limiting], *, clock: Clock, when_away: WhenAway, local_fraction: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._when_away = when_away
        self._fraction = local_fraction
        self._local = LocalLimits(local_fraction)
        self._is_away = False
        self._mutex = threading.Lock()
        self.places = Places(store)

    def reserve(
        self,
        limits: Sequence[Limit],
        fields: Mapping[str, Any],
        *,
        who: str | None = None,
        holder: str | None = None,
        estimates: Mapping[Unit, float] | None = None,
    ) -> Reservation | Refused:
        """Reserve what a call needs of several limits, all of it or nothing, in one round trip.

        Args:
            limits: at least one.
            fields: of the call: its arguments by name and its headers.
            who: the call; the same name again keeps its place in line. A new one if not given.
            holder: under which name places are held, if not that.
            estimates: what the call will use, instead of what the limits declare.

        Raises:
            InputError: an estimate is no number or over its limit; it could never be granted.
        """
        who = who or self.new_name()
        holder = holder or who
        given = estimates or {}
        wanted = tuple(
            Wanted(
                name=limit.name_for(fields),
                most=limit.scaled,
                window_ms=limit.window_ms,
                amount=limit.estimate_for(fields, given.get(limit.unit)),
            )
            for limit in limits
        )
        try:
            answer = self._store().reserve_limits(who, wanted, holder=holder)
            self._note_away(None)
        except BrokerGoneError as error:
            self._note_away(error)
            return self._without_broker(holder, wanted)
        if isinstance(answer, Refused):
            return answer
        reservation = self._reservation(holder, wanted, answer)
        if reservation.places:
            self.places.hold(holder, reservation.places)
        return reservation

    @staticmethod
    def new_name() -> str:
        """Return a name for a call that has none of its own."""
        return uuid.uuid4().hex

    def _reservation(self, who: str, wanted: tuple[Wanted, ...], granted: Granted) -> Reservation:
        return Reservation(who=who, wanted=wanted, slices=granted.slices, since_s=self._clock.monotonic_s())

    def _without_broker(self, who: str, wanted: tuple[Wanted, ...]) -> Reservation | Refused:
        now_ms = self._clock.wall_ms()
        if self._when_away is WhenAway.REFUSE:
            return Refused(now_ms=now_ms, again_ms=now_ms + AWAY_WAIT_MS, name=wanted[0].name)
        answer = self._local.reserve(who, wanted, round(self._clock.monotonic_s() * 1000))
        if isinstance(answer, Refused):
            wait_ms = answer.again_ms - answer.now_ms
            return Refused(now_ms=now_ms, again_ms=now_ms + wait_ms, name=answer.name)
        reservation = self._reservation(who, wanted, answer)
        reservation.is_local = True
        return reservation

    def settle(self, reservation: Reservation, used: Mapping[Unit, float]) -> None:
        """Set right what was reserved by what was used; a repeat does nothing.

        What is not told counts as reserved. While the broker is away nothing is set right: what was reserved counts.

        Args:
            reservation: as granted.
            used: tokens and money.
        """
        if reservation.is_settled or reservation.is_local:
            return
        reservation.is_settled = True
        settled = [
            (wanted, place, _scaled(unit, used[unit]))
            for wanted, place in zip(reservation.wanted, reservation.slices, strict=True)
            if (unit := Unit(wanted.name.partition(":")[0])) in used and unit in {Unit.TOKENS, Unit.MONEY}
        ]
        try:
            self._store().settle_limits(settled)
        except BrokerGoneError as error:
            logger.warning("what %s reserved is not set right by what it used: %s", reservation.who, error)

    def release(self, reservation: Reservation) -> None:
        """Give back the places of a call that has ended; what it used of windows stays counted. Safe to repeat."""
        if not reservation.places:
            return
        if reservation.is_local:
            self._local.release(reservation.who, reservation.places)
            return
        held_ms = round((self._clock.monotonic_s() - reservation.since_s) * 1000)
        self.places.give_back(reservation.who, reservation.places, held_ms)

    def _note_away(self, error: BrokerGoneError | None) -> None:
        with self._mutex:
            is_away, self._is_away = self._is_away, error is not None
        if error is not None and not is_away:
            so = "nothing" if self._when_away is WhenAway.REFUSE else f"{self._fraction:g} of every limit"
            logger.warning("the broker is away: until it is back this process grants %s by itself: %s", so, error)
        elif error is None and is_away:
            self._local = LocalLimits(self._fraction)
            logger.warning("the broker is back: limits hold for the whole fleet again")


def _scaled(unit: Unit, used: float) -> int:
    return Limit(unit=unit, amount=max(used, 1), key="", per_s=1).scale(used)
