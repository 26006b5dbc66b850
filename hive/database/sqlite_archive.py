"""An archive of dead letters in a file of SQLite."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hive.database.archive import ArchivedLetter, ArchiveError
from hive.database.sqlite_log import BUSY_S, begin_log

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS dead_letters (
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    record BLOB NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (queue, id)
)
"""


class SqliteArchive:
    """A file of dead letters; made, readable by its owner only, when something is added first.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

    def add(self, letters: Sequence[ArchivedLetter]) -> None:
        """Keep letters; see :meth:`hive.database.archive.LetterArchive.add`."""
        rows = [(one.queue, one.id, one.at_ms, one.priority, one.record, one.payload) for one in letters]
        with self._translated():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600, exist_ok=True)
            with self._open() as connection, connection:
                connection.execute(_SCHEMA)
                connection.executemany(
                    "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (queue, id) DO NOTHING", rows
                )

    def count(self, queue: str | None = None) -> int:
        """Return how many letters are kept, of one queue or of all."""
        if not self.path.exists():
            return 0
        with self._translated(), self._open() as connection:
            if not _has_table(connection):
                return 0
            found = connection.execute(
                "SELECT COUNT(*) FROM dead_letters WHERE ?1 IS NULL OR queue = ?1", (queue,)
            ).fetchone()
        return int(found[0])

    def letters(self, queue: str) -> Iterator[ArchivedLetter]:
        """Yield the letters of a queue, oldest first."""
        if not self.path.exists():
            return
        with self._translated(), self._open() as connection:
            if not _has_table(connection):
                return
            rows = connection.execute(
                "SELECT queue, id, at_ms, priority, record, payload FROM dead_letters WHERE queue = ? ORDER BY at_ms, id",
                (queue,),
            )
            for name, id_, at_ms, priority, record, payload in rows:
                yield ArchivedLetter(queue=name, id=id_, at_ms=at_ms, priority=priority, record=record, payload=payload)

    def expire(self, before_ms: int, limit: int) -> int:
        """Delete the oldest letters; see :meth:`hive.database.archive.LetterArchive.expire`."""
        if not self.path.exists():
            return 0
        with self._translated(), self._open() as connection, connection:
            if not _has_table(connection):
                return 0
            deleted = connection.execute(
                "DELETE FROM dead_letters WHERE rowid IN "
                "(SELECT rowid FROM dead_letters WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
                (before_ms, limit),
            )
            return deleted.rowcount

    @contextmanager
    def _open(self) -> Iterator["sqlite3.Connection"]:
        import sqlite3  # noqa: PLC0415 - 1 MB in every worker, and few ever archive

        with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as connection:
            begin_log(connection)
            # A letter is removed from the broker after this: it must survive the machine, not only the process.
            connection.execute("PRAGMA synchronous=FULL")
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import sqlite3  # noqa: PLC0415 - as above

        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ArchiveError(f"the archive {self.place} cannot be used: {error}") from error


def _has_table(connection: "sqlite3.Connection") -> bool:
    """Whether whoever makes the file has come so far."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'dead_letters'")
    return found.fetchone() is not None
