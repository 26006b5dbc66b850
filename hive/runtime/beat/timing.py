"""When entries are due: instants in ms since 1970, as pure functions of the instant before.

A crontab names times of day in its zone; where clocks are set, the rule is cron's:

* With every hour in it (``hour="*"``), it follows the hours as they pass: a time that does not exist is left out, one that
  occurs twice is due twice. Nothing is due less often than before, nor in a bunch.
* With particular hours, each time is due once a day: one that does not exist at the instant the old offset gives it (2:30
  is 3:30 then, and falls together with a 3:30 of the same entry), one that occurs twice at the first of the two.

Day of month and day of week must both match, as in Celery.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import takewhile
from typing import Protocol

#: Days that are looked at for the next due time: the calendar repeats after 400 years, a 29 February on a given weekday
#: comes within 40.
SEARCH_DAYS = 366 * 41


@dataclass(frozen=True, slots=True, kw_only=True)
class Dues:
    """Due times within a span.

    Attributes:
        newest: the last of them, in order, as many as were asked for.
        count: how many there are.
        first_ms: the first of them; ``None``: there is none.
    """

    newest: tuple[int, ...] = ()
    count: int = 0
    first_ms: int | None = None


class Timing(Protocol):
    """When an entry is due."""

    def next_after(self, after_ms: int) -> int | None:
        """Return the first due time after an instant; ``None``: there is none any more."""

    def between(self, after_ms: int, until_ms: int, newest: int) -> Dues:
        """Return the due times after an instant, up to and with another; ``newest``: how many to name."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Due again and again after the same time.

    Attributes:
        every_ms: that time.
    """

    every_ms: int

    def next_after(self, after_ms: int) -> int | None:
        """Return the first due time after an instant, which is one itself."""
        return after_ms + self.every_ms

    def between(self, after_ms: int, until_ms: int, newest: int) -> Dues:
        """Return the due times of a span, however long, by arithmetic."""
        count = max((until_ms - after_ms) // self.every_ms, 0)
        if not count:
            return Dues()
        named = range(max(count - newest, 0) + 1, count + 1)
        return Dues(
            newest=tuple(after_ms + number * self.every_ms for number in named),
            count=count,
            first_ms=after_ms + self.every_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CronTimes:
    """The times of day that a crontab names.

    Attributes:
        minutes: of the hour.
        hours: of the day.
        weekdays: 0 is Sunday.
        days: of the month.
        months: of the year.
        zone: whose times of day.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    zone: tzinfo

    def next_after(self, after_ms: int) -> int | None:
        """Return the first due time after an instant; ``None``: no day within 40 years matches."""
        return next(self._after(after_ms), None)

    def between(self, after_ms: int, until_ms: int, newest: int) -> Dues:
        """Return the due times of a span."""
        return _gathered(takewhile(lambda due_ms: due_ms <= until_ms, self._after(after_ms)), newest)

    def _after(self, after_ms: int) -> Iterator[int]:
        last_ms = after_ms
        first = datetime.fromtimestamp(after_ms / 1000, UTC).astimezone(self.zone).date()
        for number in range(-1, SEARCH_DAYS):
            day = first + timedelta(days=number)
            if day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays:
                for due_ms in _instants(self, day):
                    if due_ms > last_ms:
                        last_ms = due_ms
                        yield due_ms


@dataclass(frozen=True, slots=True)
class Chained:
    """Due times of which each is found from the one before.

    Attributes:
        following: returns the due time that follows an instant; ``None``: none does.
    """

    following: Callable[[int], int | None]

    def next_after(self, after_ms: int) -> int | None:
        """Return the first due time after an instant."""
        return self.following(after_ms)

    def between(self, after_ms: int, until_ms: int, newest: int) -> Dues:
        """Return the due times of a span."""
        return _gathered(self._until(after_ms, until_ms), newest)

    def _until(self, after_ms: int, until_ms: int) -> Iterator[int]:
        due_ms = self.following(after_ms)
        while due_ms is not None and due_ms <= until_ms:
            yield due_ms
            due_ms = self.following(due_ms)


def _gathered(dues: Iterator[int], newest: int) -> Dues:
    first_ms = next(dues, None)
    if first_ms is None:
        return Dues()
    last, count = deque([first_ms], maxlen=max(newest, 1)), 1
    for due_ms in dues:
        last.append(due_ms)
        count += 1
    return Dues(newest=tuple(last), count=count, first_ms=first_ms)


@lru_cache(maxsize=512)
def _instants(cron: CronTimes, day: date) -> tuple[int, ...]:
    """Return the due times of a day that matches, in order, each once."""
    follows_hours = len(cron.hours) == 24
    found: set[int] = set()
    for hour in cron.hours:
        for minute in cron.minutes:
            early, late = (
                datetime(day.year, day.month, day.day, hour, minute, tzinfo=cron.zone, fold=fold) for fold in (0, 1)
            )
            first, second = _offset(early), _offset(late)
            does_exist = first >= second
            if does_exist or not follows_hours:
                found.add(round(early.timestamp() * 1000))
            if follows_hours and first > second:
                found.add(round(late.timestamp() * 1000))
    return tuple(sorted(found))


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()
