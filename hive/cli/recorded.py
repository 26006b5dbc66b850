"""Recorded arrivals in a file, as ``hive forecast`` and ``hive simulate`` take them."""

import gzip
from pathlib import Path

from hive.errors import InputError
from hive.learning.series import Series, busiest, read_series


def read(path: Path, step_s: float, top: int) -> list[Series]:
    """Read the busiest series of a file, which may be compressed with gzip.

    Args:
        path: of the file; see :mod:`hive.learning.series` for its forms.
        step_s: seconds of an interval where the file does not tell.
        top: how many series at most.

    Raises:
        InputError: it cannot be read, or holds no series.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as lines:
            found = read_series(lines, path.name.removesuffix(".gz").removesuffix(".csv"), step_s)
    except (OSError, UnicodeDecodeError, EOFError) as exc:
        raise InputError(f"{path} cannot be read: {exc}") from exc
    return busiest(found, top)


def written(path: Path, text: str) -> None:
    """Write a page.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc}") from exc
