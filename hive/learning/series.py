"""Recorded counts, as read from lines of text: plain CSV, ``timestamp,value`` rows, one row of minutes for each source.

Pure: whoever reads a file hands its lines in. Three forms are told apart by their first line:

- ``timestamp,value`` (one interval a row, as the NAB sets have it);
- one source a row with a column for each minute, ``HashApp,...,minute_1,...`` or ``HashApp,...,480,481,...`` (as the
  Azure Functions sets have it);
- anything else: the last column of each row is a number, a first line that is no number is a heading.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from hive.errors import InputError

DAY_S = 86_400
HOUR_S = 3_600
_MINUTE = re.compile(r"(?:minute_)?(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Counts over intervals of equal length.

    Attributes:
        name: of the source.
        values: one for each interval, oldest first.
        step_s: length of an interval in seconds.
    """

    name: str
    values: tuple[float, ...]
    step_s: float

    @property
    def total(self) -> float:
        """The sum of all values."""
        return sum(self.values)

    @property
    def seasons(self) -> tuple[int, ...]:
        """Lengths of the seasons that people's days suggest, in intervals, where the series holds two of one.

        Those of a day and a week; of an hour where even a day does not fit twice.
        """
        lengths = [round(span_s / self.step_s) for span_s in (DAY_S, 7 * DAY_S)]
        fitting = tuple(one for one in lengths if 2 <= one <= len(self.values) / 2)
        return fitting or ((max(2, round(HOUR_S / self.step_s))),)


def read_series(lines: Iterable[str], name: str, step_s: float = 60.0) -> list[Series]:
    """Read every series of a text, in its order.

    Args:
        lines: of the text.
        name: of a series that has none in the text.
        step_s: length of an interval where the text does not tell.

    Raises:
        InputError: there is no number in it, or a row is malformed; it names the row.
    """
    rows = (row for row in csv.reader(lines) if row)
    heading = next(rows, None)
    if heading is None:
        raise InputError(f"{name} is empty")
    lowered = [cell.strip().lower() for cell in heading]
    if lowered[:2] == ["timestamp", "value"]:
        found = [_timed(rows, name)]
    elif len(_minutes(lowered)) >= 2:
        found = _wide(rows, lowered)
    else:
        found = [_plain(heading, rows, name, step_s)]
    if not any(series.values for series in found):
        raise InputError(f"{name} holds no numbers")
    return found


def busiest(found: Iterable[Series], count: int) -> list[Series]:
    """Return the ``count`` series with the greatest totals, greatest first; ties by name."""
    return sorted(found, key=lambda series: (-series.total, series.name))[:count]


def _timed(rows: Iterable[list[str]], name: str) -> Series:
    instants, values = [], []
    for number, row in enumerate(rows, start=2):
        try:
            instants.append(datetime.fromisoformat(row[0]))
            values.append(_number(row[1]))
        except (ValueError, IndexError) as exc:
            raise InputError(f"row {number} of {name} is no timestamp and value: {exc}") from exc
    steps = Counter((after - before).total_seconds() for before, after in pairwise(instants))
    usual_s = next((step for step, _ in steps.most_common() if step > 0), 60.0)
    return Series(name=name, values=tuple(values), step_s=usual_s)


def _wide(rows: Iterable[list[str]], heading: list[str]) -> list[Series]:
    minutes = _minutes(heading)
    label = heading.index("hashfunction") if "trigger" in heading else heading.index("hashapp")
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            values = tuple(_number(row[place]) if row[place] else 0.0 for place in minutes)
        except (ValueError, IndexError) as exc:
            raise InputError(f"row {number} is no row of counts: {exc}") from exc
        found.append(Series(name=row[label], values=values, step_s=60.0))
    return found


def _minutes(heading: list[str]) -> list[int]:
    if "hashapp" not in heading:
        return []
    return [place for place, cell in enumerate(heading) if _MINUTE.fullmatch(cell)]


def _plain(heading: list[str], rows: Iterable[list[str]], name: str, step_s: float) -> Series:
    if len(heading) > 2:
        raise InputError(
            f"{name} has {len(heading)} columns: a number a row is meant, a time and a number, or a row of minutes for each "
            "application"
        )
    values = []
    try:
        values.append(_number(heading[-1]))
    except ValueError:
        pass  # a heading
    for number, row in enumerate(rows, start=2):
        try:
            values.append(_number(row[-1]))
        except ValueError as exc:
            raise InputError(f"row {number} of {name} ends in no number: {row[-1]!r}") from exc
    return Series(name=name, values=tuple(values), step_s=step_s)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is no finite number")
    return value
