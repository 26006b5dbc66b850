"""The contexts of agents in a file of SQLite, with an index of their words (FTS5)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hive.database.contexts import COMPACTED, Context, ContextKind
from hive.database.memories import (
    ARCHIVED_COLUMNS,
    BOUNDS,
    COLUMNS,
    FORGOTTEN,
    ArchivedContext,
    MemorySize,
    StoredRun,
    archived_of,
    context_of,
    gone,
    require_undoable,
    run_of,
    size_of,
    words_query,
)
from hive.database.sqlite_file import SqliteFile
from hive.database.sqlite_memory_schema import STEPS

if TYPE_CHECKING:
    import sqlite3

_INSERT = f"INSERT INTO contexts (agent, {COLUMNS}, written_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_ARCHIVE = (
    f"INSERT INTO archived_contexts (id, agent, {COLUMNS}, written_by, run, reason, gone_at_ms, until_ms) "  # noqa: S608
    f"SELECT id, agent, {COLUMNS}, written_by, ?, ?, ?, ? FROM contexts WHERE agent = ? AND id = ?"
)
_SIZE = """
SELECT count(*), ifnull(sum(length(cast(text AS BLOB))), 0), ifnull(sum(token_count), 0),
    ifnull(sum(kind NOT IN (?1, ?2)), 0), ifnull(min(at_ms), 0),
    (SELECT count(*) FROM archived_contexts WHERE agent = ?3)
FROM contexts WHERE agent = ?3
"""


class SqliteMemories:
    """A file of memories; made, readable by its owner only, when something is appended first.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, STEPS)

    @property
    def place(self) -> str:
        """The file."""
        return str(self._file.path)

    def close(self) -> None:
        """Close the connections that nobody uses; a later call opens new ones."""
        self._file.close()

    def append(self, agent: str, contexts: Sequence[Context]) -> list[int]:
        """Keep contexts; see :meth:`hive.database.memories.MemoryDatabase.append`."""
        with self._file.writing() as connection:
            return [_inserted(connection, agent, one, "") for one in contexts]

    def read(
        self,
        agent: str,
        *,
        ids: Collection[int] | None = None,
        kinds: Collection[ContextKind] | None = None,
        source: str | None = None,
        before_ms: int | None = None,
        limit: int | None = None,
    ) -> list[Context]:
        """Return contexts, oldest first; see :meth:`hive.database.memories.MemoryDatabase.read`."""
        sql = f"SELECT id, {COLUMNS} FROM contexts WHERE agent = ?"  # noqa: S608
        values: list[str | int] = [agent]
        for column, wanted in (("id", ids), ("kind", kinds)):
            if wanted is not None:
                sql += f" AND {column} IN ({_marks(wanted)})"
                values.extend(wanted)
        for condition, value in (("source = ?", source), ("at_ms < ?", before_ms)):
            if value is not None:
                sql += f" AND {condition}"
                values.append(value)
        rows = self._rows(f"{sql} ORDER BY id LIMIT ?", *values, -1 if limit is None else limit)
        return [context_of(row) for row in rows]

    def find(self, agent: str, words: Sequence[str], limit: int, source: str | None = None) -> list[int]:
        """Return ids, best first by BM25; see :meth:`hive.database.memories.MemoryDatabase.find`."""
        if not words:
            return []
        rows = self._rows(
            "SELECT contexts.id FROM context_words JOIN contexts ON contexts.id = context_words.rowid "
            "WHERE context_words MATCH ?1 AND contexts.agent = ?2 AND (?3 IS NULL OR contexts.source = ?3) "
            "ORDER BY bm25(context_words), contexts.id DESC LIMIT ?4",
            words_query(words),
            agent,
            source,
            limit,
        )
        return [int(id_) for (id_,) in rows]

    def newest(self, agent: str, limit: int, source: str | None = None) -> list[int]:
        """Return the latest ids; see :meth:`hive.database.memories.MemoryDatabase.newest`."""
        rows = self._rows(
            "SELECT id FROM contexts WHERE agent = ?1 AND (?2 IS NULL OR source = ?2) ORDER BY at_ms DESC, id DESC LIMIT ?3",
            agent,
            source,
            limit,
        )
        return [int(id_) for (id_,) in rows]

    def use(self, agent: str, ids: Collection[int]) -> None:
        """Count a use of contexts."""
        with self._file.writing() as connection:
            connection.executemany(
                "UPDATE contexts SET used_count = used_count + 1 WHERE agent = ? AND id = ?",
                [(agent, id_) for id_ in ids],
            )

    def replace(
        self,
        agent: str,
        run: str,
        drafts: Sequence[Context],
        dropped: Mapping[int, str],
        *,
        at_ms: int,
        until_ms: int,
        record: StoredRun | None = None,
    ) -> list[int]:
        """Write contexts and archive others; see :meth:`hive.database.memories.MemoryDatabase.replace`."""
        with self._file.writing() as connection:
            for id_, reason in dropped.items():
                moved = connection.execute(_ARCHIVE, (run, str(reason), at_ms, until_ms, agent, id_))
                if not moved.rowcount:
                    raise gone(id_, agent)
                _remove(connection, "agent = ? AND id = ?", agent, id_)
            if record is not None:
                _save_run(connection, record)
            return [_inserted(connection, agent, one, run) for one in drafts]

    def put_back(self, agent: str, ids: Collection[int]) -> int:
        """Put contexts back; see :meth:`hive.database.memories.MemoryDatabase.put_back`."""
        with self._file.writing() as connection:
            return sum(_put_back(connection, agent, "id = ?", id_) for id_ in ids)

    def undo(self, agent: str, run: str, record: StoredRun | None = None) -> int:
        """Undo a run; see :meth:`hive.database.memories.MemoryDatabase.undo`."""
        with self._file.writing() as connection:
            later = connection.execute(
                "SELECT run FROM archived_contexts WHERE agent = ?1 AND written_by = ?2 AND run NOT IN (?2, ?3, ?4) LIMIT 1",
                (agent, run, BOUNDS, FORGOTTEN),
            ).fetchone()
            kept = connection.execute("SELECT expired_count FROM consolidations WHERE run = ?", (run,)).fetchone()
            require_undoable(run, later[0] if later else None, kept[0] if kept else 0)
            _remove(connection, "agent = ? AND written_by = ?", agent, run)
            # What a later slice of the run replaced of an earlier one's was not there before it.
            connection.execute("DELETE FROM archived_contexts WHERE agent = ? AND written_by = ?", (agent, run))
            if record is not None:
                _save_run(connection, record)
            return _put_back(connection, agent, "run = ?", run)

    def archived(self, agent: str, run: str | None = None, limit: int | None = None) -> list[ArchivedContext]:
        """Return what left the memory; see :meth:`hive.database.memories.MemoryDatabase.archived`."""
        rows = self._rows(
            f"SELECT id, {ARCHIVED_COLUMNS} FROM archived_contexts "  # noqa: S608
            "WHERE agent = ?1 AND (?2 IS NULL OR run = ?2) ORDER BY id LIMIT ?3",
            agent,
            run,
            -1 if limit is None else limit,
        )
        return [archived_of(row) for row in rows]

    def size(self, agent: str) -> MemorySize:
        """Return how large a memory is."""
        rows = self._rows(_SIZE, *COMPACTED, agent)
        return size_of(rows[0] if rows else (0,) * 6)

    def agents(self) -> list[str]:
        """Return the names of all agents with a memory."""
        rows = self._rows("SELECT agent FROM contexts UNION SELECT agent FROM archived_contexts ORDER BY agent")
        return [name for (name,) in rows]

    def save_run(self, run: StoredRun) -> None:
        """Keep a run."""
        with self._file.writing() as connection:
            _save_run(connection, run)

    def runs(self, agent: str, limit: int = 50) -> list[StoredRun]:
        """Return the runs of an agent, latest first."""
        rows = self._rows(
            "SELECT run, agent, job, started_at_ms, state, report FROM consolidations WHERE agent = ? "
            "ORDER BY started_at_ms DESC, rowid DESC LIMIT ?",
            agent,
            limit,
        )
        return [run_of(row) for row in rows]

    def index(self, *, rebuild: bool = False) -> bool:
        """Bring the index of words into its best form; see :meth:`hive.database.memories.MemoryDatabase.index`."""
        with self._file.writing() as connection:
            damaged = not _is_whole(connection)
            if damaged or rebuild:
                connection.execute("INSERT INTO context_words (context_words) VALUES ('rebuild')")
            connection.execute("INSERT INTO context_words (context_words) VALUES ('optimize')")
            return damaged

    def expire(self, now_ms: int, limit: int) -> int:
        """Delete what has been archived long enough; see :meth:`hive.database.memories.MemoryDatabase.expire`."""
        with self._file.writing() as connection:
            rows = connection.execute(
                "DELETE FROM archived_contexts WHERE id IN "
                "(SELECT id FROM archived_contexts WHERE until_ms <= ? ORDER BY until_ms LIMIT ?) RETURNING run",
                (now_ms, limit),
            ).fetchall()
            connection.executemany("UPDATE consolidations SET expired_count = expired_count + 1 WHERE run = ?", rows)
            return len(rows)

    def maintain(self) -> Iterable[str]:
        """Check the file and give room back; returns what is wrong with it."""
        said = [str(row[0]) for row in self._rows("PRAGMA quick_check")]
        if said == ["ok"]:
            # By itself it reads first, and SQLite lets nobody who has read wait for another who writes.
            with self._file.writing() as connection:
                connection.execute("PRAGMA optimize")
            for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                self._rows(statement)
        return [line for line in said if line != "ok"]

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._file.reading() as connection:
            return [] if connection is None else connection.execute(sql, values).fetchall()


def _is_whole(connection: "sqlite3.Connection") -> bool:
    import sqlite3  # noqa: PLC0415 - 1 MB in every worker, and few have memories

    try:
        connection.execute("INSERT INTO context_words (context_words, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError:
        return False
    return True


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _inserted(connection: "sqlite3.Connection", agent: str, one: Context, run: str) -> int:
    row = (
        one.kind.value,
        one.text,
        one.author,
        one.source,
        one.at_ms,
        one.used_count,
        one.token_count,
        one.subject,
    )
    id_ = int(connection.execute(_INSERT, (agent, *row, run)).lastrowid or 0)
    connection.execute("INSERT INTO context_words (rowid, text) VALUES (?, ?)", (id_, one.text))
    return id_


def _remove(connection: "sqlite3.Connection", condition: str, *values: int | str) -> None:
    """Take contexts out of the memory and of its index, which must be told what they said."""
    connection.execute(
        "INSERT INTO context_words (context_words, rowid, text) "  # noqa: S608
        f"SELECT 'delete', id, text FROM contexts WHERE {condition}",
        values,
    )
    connection.execute(f"DELETE FROM contexts WHERE {condition}", values)  # noqa: S608


def _save_run(connection: "sqlite3.Connection", run: StoredRun) -> None:
    connection.execute(
        "INSERT INTO consolidations (run, agent, job, started_at_ms, state, report) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (run) DO UPDATE SET state = excluded.state, report = excluded.report",
        (run.run, run.agent, run.job, run.started_at_ms, run.state, run.report),
    )


def _put_back(connection: "sqlite3.Connection", agent: str, condition: str, value: int | str) -> int:
    gone = f"FROM archived_contexts WHERE agent = ? AND {condition}"
    connection.execute(
        f"INSERT INTO context_words (rowid, text) SELECT id, text {gone}",
        (agent, value),
    )
    connection.execute(
        f"INSERT INTO contexts (id, agent, {COLUMNS}, written_by) SELECT id, agent, {COLUMNS}, written_by {gone}",
        (agent, value),
    )
    return connection.execute(f"DELETE {gone}", (agent, value)).rowcount
