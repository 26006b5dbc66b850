"""A file of SQLite that many processes use at once, with its schema in versions."""

import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hive.database.checkpoints import DatabaseError
from hive.database.idle_connections import IdleConnections
from hive.database.sqlite_log import BUSY_S, WriteAheadLog, begin_log

if TYPE_CHECKING:
    import sqlite3

#: Bytes of the write-ahead log after which a writer moves it by itself: nobody else has come to it.
LONG_LOG_BYTES = 8_388_608

#: Pages that a small change writes.
_CHANGED_PAGES = 4


class SqliteFile:
    """Connections to one file, made when they are needed first; readable by its owner only.

    The schema grows by steps: ``PRAGMA user_version`` says how many have been taken, and whoever opens the file takes the
    rest. What is committed has reached the disk, by one flush of the write-ahead log; a thread moves the log into the file,
    and a writer does once it is 8 MB long. It grows past that only while a process reads all along. Connections are kept
    between calls, because the last one to close moves the whole log; a forked child makes its own.

    Args:
        path: the file.
        steps: statements of each step, in order; never changed, only added to.
        page_bytes: of a file that is made; large ones suit large values.
    """

    def __init__(self, path: Path, steps: Sequence[str], *, page_bytes: int = 4096) -> None:
        self.path = path
        self._steps = tuple(steps)
        self._page_bytes = page_bytes
        self._idle: IdleConnections[sqlite3.Connection] = IdleConnections()
        self._log = WriteAheadLog(self._move_log, str(self.path))
        # SQLite's locks belong to a process, and it does not notice a fork: a child that finds the file open in its
        # memory would take the locks of its parent for its own.
        os.register_at_fork(before=partial(_close, weakref.ref(self)))

    def __reduce__(self) -> tuple[Callable[..., "SqliteFile"], tuple[object, ...]]:
        return _made, (self.path, self._steps, self._page_bytes)

    @contextmanager
    def reading(self) -> Iterator["sqlite3.Connection | None"]:
        """Yield a connection, or none where nobody has made the file.

        Raises:
            DatabaseError: the file cannot be used.
        """
        with self._translated():
            if not self.path.exists():
                yield None
                return
            connection = self._taken()
            try:
                yield connection
            finally:
                self._idle.give_back(connection)

    @contextmanager
    def writing(self, *, about_bytes: int = 0, erases: bool = True) -> Iterator["sqlite3.Connection"]:
        """Yield a connection in a transaction that is committed if the block ends well; make the file if needed.

        Args:
            about_bytes: of large values that are written.
            erases: whether bytes that are removed are written over. Without, they stay in the file until the room is taken
                again, and removing a large value does not cost as much as writing one.

        Raises:
            DatabaseError: the file cannot be used; nothing was changed.
        """
        with self._translated():
            connection = self._taken()
            try:
                connection.execute(f"PRAGMA secure_delete={'ON' if erases else 'FAST'}")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
            finally:
                self._idle.give_back(connection)
            self._log.grew(about_bytes + _CHANGED_PAGES * self._page_bytes)

    def close(self) -> None:
        """Close the connections that nobody uses; a later call opens new ones."""
        if self._idle.are_ours():
            self._log.wait()
        self._idle.close()

    def _taken(self) -> "sqlite3.Connection":
        if self._idle.leave_to_parent():
            self._log = WriteAheadLog(self._move_log, str(self.path))
        connection = self._idle.take()
        return connection if connection is not None else self._opened()

    def _opened(self) -> "sqlite3.Connection":
        import sqlite3  # noqa: PLC0415 - 1 MB in every worker, and not all have agents with state

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.touch(mode=0o600, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            # What damage has made of a text must not end the reading of the others.
            connection.text_factory = _text
            connection.execute(f"PRAGMA page_size={self._page_bytes}")
            begin_log(connection)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={LONG_LOG_BYTES // self._page_bytes}")
            connection.execute(f"PRAGMA journal_size_limit={LONG_LOG_BYTES}")
            self._upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _move_log(self) -> None:
        with self.reading() as connection:
            if connection is not None:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _upgrade(self, connection: "sqlite3.Connection") -> None:
        if self._version(connection) == len(self._steps):
            return
        connection.execute("BEGIN IMMEDIATE")
        version = self._version(connection)
        if version > len(self._steps):
            raise DatabaseError(
                f"{self.path} has version {version} of its schema, and this hive knows {len(self._steps)}: "
                "it was written by a newer hive; upgrade this one"
            )
        for step in self._steps[version:]:
            for statement in step.split(";"):
                if statement.strip():
                    connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(self._steps)}")
        connection.execute("COMMIT")

    def _version(self, connection: "sqlite3.Connection") -> int:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import sqlite3  # noqa: PLC0415 - as above

        try:
            yield
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            # What SQLite says of a damaged schema may hold the damage.
            raise DatabaseError(f"{self.path} cannot be used: {error}") from error


def _close(file: "weakref.ref[SqliteFile]") -> None:
    found = file()
    if found is not None:
        found.close()


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _made(path: Path, steps: Sequence[str], page_bytes: int) -> SqliteFile:
    return SqliteFile(path, steps, page_bytes=page_bytes)
