"""Cron expressions of five fields, as local times of day: minute, hour, day of month, month, day of week.

They mean what beat's crontabs mean, which Celery reads: nothing of Celery's is loaded here. A 7 for Sunday and a step from a
number on (``5/10``) are understood besides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hive.errors import InputError

#: Name, least and greatest value of each field; both 0 and 7 are Sunday.
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))

#: Words that may stand for a number, each in its place, by the name of the field.
_WORDS = {
    "month": ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "day of week": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """When an expression matches.

    A day matches if both day fields do, as in Celery.

    Attributes:
        minutes: of the hour.
        hours: of the day.
        days: of the month.
        months: of the year.
        weekdays: 0 is Sunday.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

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
        )

    def matches_day(self, day: date) -> bool:
        """Whether it names any time of a day."""
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

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
        first, dash, last = span.partition("-")
        try:
            begin, end = (
                (least, most) if span == "*" else (_number(first, name), _number(last if dash else first, name))
            )
            every = int(step or 1)
        except ValueError:
            begin, end, every = least - 1, least - 1, 1
        if not (least <= begin <= most and least <= end <= most and every > 0):
            raise InputError(
                f"cron field {text!r} ({name}): numbers from {least} to {most}, names, ranges and steps are meant"
            )
        if step and not dash:
            end = most
        # A range may go past the end: `22-2` are five hours.
        top = most - (name == "day of week")
        values = range(begin, end + 1) if begin <= end else (*range(begin, top + 1), *range(least, end + 1))
        found.update(values[::every])
    return frozenset(found)


def _number(text: str, name: str) -> int:
    """Return what a number or a name such as ``mon`` stands for.

    Raises:
        ValueError: it is neither.
    """
    word, words = text[:3].lower(), _WORDS.get(name, ())
    return words.index(word) if word and word in words else int(text)
