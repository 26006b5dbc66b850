"""Cron expressions of five fields, as local times of day: minute, hour, day of month, month, day of week."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hive.errors import InputError

#: Name, least and greatest value of each field; both 0 and 7 are Sunday.
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """When an expression matches.

    As in cron, a day matches if either day field does where both are restricted.

    Attributes:
        minutes: of the hour.
        hours: of the day.
        days: of the month.
        months: of the year.
        weekdays: 0 is Sunday.
        either_day: whether both day fields are restricted.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, expression: str) -> "Cron":
        """Return the times that an expression such as ``30 22 * * 1-5`` names.

        Raises:
            InputError: it has not five fields, or one of them is no list of numbers, ranges and steps.
        """
        texts = expression.split()
        if len(texts) != len(_FIELDS):
            raise InputError(f"cron expression {expression!r}: five fields are needed, such as '30 22 * * 1-5'")
        sets = [_values(text, *field) for text, field in zip(texts, _FIELDS, strict=True)]
        minutes, hours, days, months, weekdays = sets
        return cls(
            minutes=minutes,
            hours=hours,
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            either_day=not texts[2].startswith("*") and not texts[4].startswith("*"),
        )

    def matches_day(self, day: date) -> bool:
        """Whether it names any time of a day."""
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        is_named = in_month or in_week if self.either_day else in_month and in_week
        return day.month in self.months and is_named

    def times(self, first: date, last: date) -> Iterator[datetime]:
        """Yield the local times it names, without a zone, from one day to another, in order."""
        day = first
        while day <= last:
            if self.matches_day(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        yield datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - a time of day
            day += timedelta(days=1)


def _values(text: str, name: str, least: int, most: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        try:
            begin, end = (least, most) if span == "*" else (int(first), int(last or (most if step else first)))
            every = int(step or 1)
        except ValueError:
            begin, end, every = 1, 0, 1
        if not (least <= begin <= end <= most and every > 0):
            raise InputError(
                f"cron field {text!r} ({name}): numbers from {least} to {most}, ranges and steps are meant"
            )
        found.update(range(begin, end + 1, every))
    return frozenset(found)
