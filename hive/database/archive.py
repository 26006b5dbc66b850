"""The archive of dead letters that were too many, too large or too old for the broker: what every archive does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hive.errors import HiveError


class ArchiveError(HiveError):
    """The archive of dead letters cannot be read or written; what was to go there is still on the broker."""

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedLetter:
    """A dead letter in the archive.

    Attributes:
        queue: where it came from.
        id: its dead letter id.
        at_ms: when it was set aside, on the broker's clock.
        priority: the step it waited under.
        record: reason, cause and history as they stood on the broker.
        payload: the bytes as published.
    """

    queue: str
    id: str
    at_ms: int
    priority: int
    record: bytes
    payload: bytes


class LetterArchive(Protocol):
    """Where dead letters lie until their retention ends. May be used by threads, forks and several hosts' workers at a time."""

    @property
    def place(self) -> str:
        """Where it is, for an operator; says no password."""

    def add(self, letters: Sequence[ArchivedLetter]) -> None:
        """Keep letters, all or none; they are on disk when this returns. One that is there already stays as it is.

        Raises:
            ArchiveError: it cannot be written.
        """

    def count(self, queue: str | None = None) -> int:
        """Return how many letters are kept, of one queue or of all.

        Raises:
            ArchiveError: it cannot be read.
        """

    def letters(self, queue: str) -> Iterator[ArchivedLetter]:
        """Yield the letters of a queue, oldest first, a few at a time in memory.

        Raises:
            ArchiveError: it cannot be read.
        """

    def expire(self, before_ms: int, limit: int) -> int:
        """Delete letters that were set aside before an instant, the oldest first and at most so many; returns how many.

        Raises:
            ArchiveError: it cannot be written.
        """
