"""The write-ahead log of a SQLite file, moved into the file beside those who write."""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from hive.clock import SystemClock
from hive.errors import HiveError

if TYPE_CHECKING:
    import sqlite3

logger = logging.getLogger(__name__)

#: Seconds a call waits for another process that writes.
BUSY_S = 30.0

#: Bytes of the log after which it is moved into the file.
LOG_BYTES = 1_048_576

#: Seconds between two tries to begin a log while others have the file.
AGAIN_S = 0.01


def begin_log(connection: "sqlite3.Connection") -> None:
    """Let a file have a write-ahead log, if it has none yet. Safe to repeat.

    SQLite waits for nobody here, whatever its timeout: of several who make a file at once all but one would fail.

    Raises:
        sqlite3.OperationalError: others had the file for longer than ``BUSY_S``, or it cannot be used.
    """
    import sqlite3  # noqa: PLC0415 - 1 MB in every worker, and few ever write files

    clock, pause = SystemClock(), threading.Event()
    until_s = clock.monotonic_s() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or clock.monotonic_s() >= until_s:
                raise
        pause.wait(AGAIN_S)


class WriteAheadLog:
    """Moves the log in a thread that ends when it is done, so that no writer waits for the two flushes of a move.

    A move is for room and speed only: what is committed is on disk in the log. So it may fail, or die, at any point; a
    later one does the rest.

    Args:
        move: moves what can be moved now.
        place: of the file, for messages.
    """

    def __init__(self, move: Callable[[], None], place: str) -> None:
        self._move = move
        self._place = place
        self._mutex = threading.Lock()
        self._grown_bytes = 0
        self._thread: threading.Thread | None = None

    def grew(self, size_bytes: int) -> None:
        """Note that somebody has added about so many bytes; a log that is long enough begins to be moved."""
        with self._mutex:
            self._grown_bytes += size_bytes
            if self._grown_bytes < LOG_BYTES or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._run, name="hive-sqlite-log")
            try:
                self._thread.start()
            except RuntimeError as error:
                # No room for a thread, or the interpreter ends: the log stays, and what is committed in it.
                logger.warning("the log of %s is not moved now: %s", self._place, error)

    def wait(self) -> None:
        """Wait for the end of a move that has begun."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join()

    def _run(self) -> None:
        while self._is_due():
            try:
                self._move()
            except HiveError as error:
                logger.warning("the log of %s could not be moved: %s", self._place, error)

    def _is_due(self) -> bool:
        with self._mutex:
            is_due = self._grown_bytes >= LOG_BYTES
            if is_due:
                self._grown_bytes = 0
            return is_due
