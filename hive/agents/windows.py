"""Sleep windows: the times of day at which an agent is to sleep, in the time zone of those who wait for it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hive.agents.cron import Cron
from hive.errors import InputError

#: Longest time a window of a cron expression may be open.
LONGEST_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SleepWindow:
    """One span of sleep that comes again: from one time of day to another, or from each match of a cron expression.

    A window from 22:00 to 06:00 crosses midnight and belongs to the day on which it begins. Where clocks are put
    forward, a time that does not exist that day is the instant the old offset gives it; where they are put back, a
    window begins at the first of two equal times and ends at the second, so that it is open for all of both.

    Attributes:
        start: of the day, as ``22:00``; empty with ``cron``.
        end: of that or the next day.
        cron: five fields; the window opens at each match.
        for_s: seconds it is open then.
        zone: IANA name of the time zone.
        weekdays: on which days one from ``start`` to ``end`` begins, 1 is Monday; empty: on all.

    Raises:
        InputError: a time, the zone or the expression cannot be read, or start and end are the same.
    """

    start: str = ""
    end: str = ""
    cron: str = ""
    for_s: float = 0.0
    zone: str = "UTC"
    weekdays: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check what it is made of."""
        _zone(self.zone)
        if self.cron:
            Cron.parse(self.cron)
            if self.start or self.end or self.weekdays or not 0 < self.for_s <= LONGEST_S:
                raise InputError(f"sleep window {self.cron!r}: give for_s, up to {LONGEST_S:,.0f} s, and nothing else")
        elif _time(self.start) == _time(self.end):
            raise InputError(f"sleep window {self.start} to {self.end}: start and end are to be two different times")
        elif not set(self.weekdays) <= set(range(1, 8)):
            raise InputError(f"sleep window: weekdays are numbers from 1 (Monday) to 7, not {self.weekdays}")

    def open_until_ms(self, at_ms: int) -> int | None:
        """Return when the window that is open at an instant ends (both in ms since 1970); None: none is."""
        zone = _zone(self.zone)
        here = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date()
        spans = self._cron_spans(here, zone) if self.cron else self._daily_spans(here, zone)
        return max((end for begin, end in spans if begin <= at_ms < end), default=None)

    def _daily_spans(self, here: date, zone: ZoneInfo) -> list[tuple[int, int]]:
        start, end = _time(self.start), _time(self.end)
        spans = []
        for day in (here - timedelta(days=1), here):
            if not self.weekdays or day.isoweekday() in self.weekdays:
                last = day if start < end else day + timedelta(days=1)
                spans.append((_instant_ms(day, start, zone, fold=0), _instant_ms(last, end, zone, fold=1)))
        return spans

    def _cron_spans(self, here: date, zone: ZoneInfo) -> list[tuple[int, int]]:
        length_ms = round(self.for_s * 1000)
        first = here - timedelta(days=length_ms // 86_400_000 + 1)
        begins = (_instant_ms(at.date(), at.time(), zone, fold=0) for at in Cron.parse(self.cron).times(first, here))
        return [(begin, begin + length_ms) for begin in begins]

    def as_table(self) -> dict[str, Any]:
        """Return it as JSON can hold it; what it is by default is left out."""
        given = {name: getattr(self, name) for name in ("start", "end", "cron", "for_s", "weekdays")}
        return {**{name: value for name, value in given.items() if value}, "zone": self.zone}

    def __str__(self) -> str:
        return f"{self.cron} for {self.for_s:g} s {self.zone}" if self.cron else f"{self.start}-{self.end} {self.zone}"


def _instant_ms(day: date, at: time, zone: ZoneInfo, *, fold: int) -> int:
    return round(datetime.combine(day, at, zone).replace(fold=_fold(day, at, zone, fold)).timestamp() * 1000)


def _fold(day: date, at: time, zone: ZoneInfo, wanted: int) -> int:
    """Return the wanted one of two equal times; of a time that does not exist, always what the old offset gives."""
    early, late = (datetime.combine(day, at, zone).replace(fold=fold).utcoffset() for fold in (0, 1))
    does_exist = early is None or late is None or early >= late
    return wanted if does_exist else 0


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"there is no time zone {name!r}; write an IANA name such as 'Europe/Berlin'") from error


def _time(text: str) -> time:
    try:
        found = time.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"sleep window: {text!r} is no time of day such as '22:00'") from error
    if found.tzinfo is not None:
        raise InputError(f"sleep window: {text!r} has an offset; name the zone with zone=")
    return found
