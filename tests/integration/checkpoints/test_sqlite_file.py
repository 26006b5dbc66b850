"""The file of SQLite as processes share it."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hive.database.checkpoints import DatabaseError
from hive.database.sqlite_file import LONG_LOG_BYTES, SqliteFile

STEPS = ("CREATE TABLE first (n INTEGER)", "CREATE TABLE second (n INTEGER); INSERT INTO second VALUES (2)")


def test_a_fork_has_none_of_its_parents_connections(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "state.sqlite", STEPS)
    # Large enough for a move of the log to be under way.
    filled(file, 4)
    child = os.fork()
    if child == 0:
        held = [Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd")]
        os._exit(sum("state.sqlite" in str(one.readlink()) for one in held if one.is_symlink()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with file.reading() as connection:
        assert connection is not None
        assert connection.execute("SELECT count(*) FROM first").fetchone() == (4,)


def test_the_schema_grows_by_steps_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with SqliteFile(path, STEPS[:1]).writing() as connection:
        connection.execute("INSERT INTO first VALUES (1)")
    newer = SqliteFile(path, STEPS)
    with newer.reading() as connection:
        assert connection is not None
        assert connection.execute("SELECT n FROM first UNION ALL SELECT n FROM second").fetchall() == [(1,), (2,)]
    with (
        pytest.raises(DatabaseError, match="version 2 of its schema, and this hive knows 1"),
        SqliteFile(path, STEPS[:1]).reading(),
    ):
        pass
    assert oct(path.stat().st_mode & 0o777) == "0o600"


def test_what_fails_within_a_block_is_taken_back_and_is_an_error_of_ours(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "state.sqlite", STEPS)
    with pytest.raises(DatabaseError, match="no such table: third"):
        insert_and(file, lambda connection: connection.execute("INSERT INTO third VALUES (1)"))
    with pytest.raises(KeyError):
        insert_and(file, lambda _: {}["missing"])
    with file.reading() as connection:
        assert connection is not None
        assert connection.execute("SELECT count(*) FROM first").fetchone() == (0,)
    (tmp_path / "text.sqlite").write_text("this is no database at all" * 100)
    with pytest.raises(DatabaseError, match="not a database"), SqliteFile(tmp_path / "text.sqlite", STEPS).reading():
        pass


def insert_and(file: SqliteFile, fail: Callable[[Any], object]) -> None:
    with file.writing() as connection:
        connection.execute("INSERT INTO first VALUES (1)")
        fail(connection)


def filled(file: SqliteFile, count: int, *, size_bytes: int = 300_000) -> None:
    for _ in range(count):
        with file.writing(about_bytes=size_bytes) as connection:
            connection.execute("INSERT INTO first VALUES (zeroblob(?))", (size_bytes,))


def test_the_log_is_moved_into_the_file_beside_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    file = SqliteFile(path, STEPS)
    filled(file, 10)
    file._log.wait()
    assert path.stat().st_size > 1_000_000
    assert not [thread for thread in threading.enumerate() if thread.name == "hive-sqlite-log"]
    assert Path(f"{path}-wal").stat().st_size < LONG_LOG_BYTES
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM first").fetchone() == (10,)
    other.close()


def test_a_log_that_nobody_comes_to_is_moved_by_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.sqlite"

    def no_room(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_room)
    filled(SqliteFile(path, STEPS), 100)
    assert Path(f"{path}-wal").stat().st_size < LONG_LOG_BYTES + 1_000_000
    assert path.stat().st_size > 20_000_000


def test_a_log_that_another_one_reads_is_moved_when_the_reading_ends(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    file = SqliteFile(path, STEPS)
    filled(file, 1)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM first").fetchone() == (1,)
    filled(file, 60)
    assert reader.execute("SELECT count(*) FROM first").fetchone() == (1,)
    reader.execute("COMMIT")
    filled(file, 4)
    file._log.wait()
    filled(file, 1)
    # The log begins anew, and gives back the room that it took meanwhile.
    assert Path(f"{path}-wal").stat().st_size <= LONG_LOG_BYTES
    reader.close()


def test_what_is_erased_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    secret = b"what nobody is to find" * 1_000
    for erases in (False, True):
        file = SqliteFile(path, STEPS)
        with file.writing() as connection:
            connection.execute("INSERT INTO first VALUES (?)", (secret,))
        with file.writing(erases=erases) as connection:
            connection.execute("DELETE FROM first")
        file.close()
        assert (secret[:22] in path.read_bytes()) is not erases
        path.unlink()
