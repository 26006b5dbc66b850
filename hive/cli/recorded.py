"""Recorded arrivals in a file, as ``hive forecast`` and ``hive simulate`` take them."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from hive.errors import InputError
from hive.learning.series import Series, busiest, read_series


@contextmanager
def opened_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file, which may be compressed with gzip.

    Raises:
        InputError: it cannot be opened or read; also for what goes wrong while it is read.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as lines:
            yield lines
    except (OSError, UnicodeDecodeError, EOFError) as exc:
        raise InputError(f"{path} cannot be read: {exc}") from exc


def read(path: Path, step_s: float, top: int) -> list[Series]:
    """Read the busiest series of a file.

    Args:
        path: of the file, possibly ``.gz``; see :mod:`hive.learning.series` for its forms.
        step_s: seconds of an interval where the file does not tell.
        top: how many series at most.

    Raises:
        InputError: it cannot be read, or holds no series.
    """
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    with opened_text(path) as lines:
        return busiest(read_series(lines, name, step_s), top)


def arrivals(path: Path, step_s: float, top: int) -> list[Series]:
    """Read the busiest series of a file of counts of what arrived; the arguments are those of :func:`read`.

    Raises:
        InputError: it cannot be read, or holds no series, or less than nothing arrived.
    """
    found = read(path, step_s, top)
    for series in found:
        least = min(series.values, default=0.0)
        if least < 0:
            raise InputError(f"{series.name}: {least:g} is no count of arrivals")
    return found


def picture_option(help_text: str) -> Any:
    """Return the option ``--picture FILE`` of a command, which is refused before any work if no page can be written there."""
    return click.option(
        "--picture",
        type=click.Path(path_type=Path, dir_okay=False),
        callback=lambda _, __, path: None if path is None else _writable(path),
        help=help_text,
    )


def _writable(path: Path) -> Path:
    if not path.parent.is_dir():
        raise InputError(f"--picture {path} cannot be written: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"--picture {path} cannot be written by this user")
    return path


def written(path: Path, text: str) -> None:
    """Write a page.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise InputError(f"{path} cannot be written: {exc}") from exc
