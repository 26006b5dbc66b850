"""The file of SQLite as processes share it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hive.database.checkpoints import DatabaseError
from hive.database.sqlite_file import SqliteFile

STEPS = ("CREATE TABLE first (n INTEGER)", "CREATE TABLE second (n INTEGER); INSERT INTO second VALUES (2)")


def test_a_fork_has_none_of_its_parents_connections(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "state.sqlite", STEPS)
    with file.writing() as connection:
        connection.execute("INSERT INTO first VALUES (1)")
    child = os.fork()
    if child == 0:
        held = [Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd")]
        os._exit(sum("state.sqlite" in str(one.readlink()) for one in held if one.is_symlink()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with file.reading() as connection:
        assert connection is not None
        assert connection.execute("SELECT n FROM first").fetchall() == [(1,)]


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
