"""The contexts of agents in PostgreSQL, one database for all hosts, with its full text search."""

from collections.abc import Collection, Iterable, Mapping, Sequence
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
)
from hive.database.postgres_connections import PostgresConnections

if TYPE_CHECKING:
    import psycopg

_ALL = f"agent, {COLUMNS}, written_by, words"

_ADD = (
    f"INSERT INTO hive_contexts ({_ALL}) "  # noqa: S608
    "VALUES (%s, %s, %b, %s, %s, %s, %s, %s, %s, %s, to_tsvector('english', %s)) RETURNING id"
)
_ARCHIVE = (
    f"WITH gone AS (DELETE FROM hive_contexts WHERE agent = %s AND id = %s RETURNING id, {_ALL}) "  # noqa: S608
    f"INSERT INTO hive_archived_contexts (id, {_ALL}, run, reason, gone_at_ms, until_ms) "
    f"SELECT id, {_ALL}, %s, %s, %s, %s FROM gone"
)
_BACK = (
    "WITH back AS (DELETE FROM hive_archived_contexts WHERE agent = %s AND {condition} "  # noqa: S608
    f"RETURNING id, {_ALL}) INSERT INTO hive_contexts (id, {_ALL}) SELECT id, {_ALL} FROM back"
)
_SAVE_RUN = """
INSERT INTO hive_consolidations (run, agent, job, started_at_ms, state, report) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (run) DO UPDATE SET state = excluded.state, report = excluded.report
"""
_SIZE = """
SELECT count(*), coalesce(sum(octet_length(text)), 0), coalesce(sum(token_count), 0),
    count(*) FILTER (WHERE NOT kind = ANY(%s)), coalesce(min(at_ms), 0),
    (SELECT count(*) FROM hive_archived_contexts WHERE agent = %s)
FROM hive_contexts WHERE agent = %s
"""
_EXPIRE = """
WITH gone AS (
    DELETE FROM hive_archived_contexts WHERE id IN (
        SELECT id FROM hive_archived_contexts WHERE until_ms <= %s ORDER BY until_ms LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING run
), counted AS (
    UPDATE hive_consolidations SET expired_count = expired_count + each.count
    FROM (SELECT run, count(*) AS count FROM gone GROUP BY run) AS each WHERE hive_consolidations.run = each.run
)
SELECT count(*) FROM gone
"""


class PostgresMemories:
    """See :class:`hive.database.memories.MemoryDatabase`; the tables are made when they are needed first.

    Words are ranked by ``ts_rank_cd``, which unlike BM25 does not know how rare a word is.

    Args:
        url: ``postgresql://user:password@host/database``, as libpq takes it.

    Raises:
        SettingsError: the extra ``postgres`` is not installed.
    """

    def __init__(self, url: str) -> None:
        self._connections = PostgresConnections(url)

    @property
    def place(self) -> str:
        """Its address, without the password."""
        return self._connections.place

    def close(self) -> None:
        """Close the connections that nobody uses; a later call opens new ones."""
        self._connections.close()

    def append(self, agent: str, contexts: Sequence[Context]) -> list[int]:
        """Keep contexts; see :meth:`hive.database.memories.MemoryDatabase.append`."""
        with self._connections.transaction() as connection:
            return [_added(connection, agent, one, "") for one in contexts]

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
        conditions = {
            "id = ANY(%s)": None if ids is None else list(ids),
            "kind = ANY(%s)": None if kinds is None else [kind.value for kind in kinds],
            "source = %s": source,
            "at_ms < %s": before_ms,
        }
        given = {condition: value for condition, value in conditions.items() if value is not None}
        where = " AND ".join(["agent = %s", *given])
        rows = self._rows(
            f"SELECT id, {COLUMNS} FROM hive_contexts WHERE {where} ORDER BY id LIMIT %s",  # noqa: S608
            agent,
            *given.values(),
            limit,
        )
        return [context_of(row) for row in rows]

    def find(self, agent: str, words: Sequence[str], limit: int, source: str | None = None) -> list[int]:
        """Return ids, best first; see :meth:`hive.database.memories.MemoryDatabase.find`."""
        asked = " or ".join(f'"{word}"' for word in (word.replace('"', " ").replace("\0", " ") for word in words))
        rows = self._rows(
            "SELECT id FROM hive_contexts, websearch_to_tsquery('english', %s) AS asked "
            "WHERE agent = %s AND words @@ asked AND (%s::text IS NULL OR source = %s) "
            "ORDER BY ts_rank_cd(words, asked, 1) DESC, id DESC LIMIT %s",
            asked,
            agent,
            source,
            source,
            limit,
        )
        return [id_ for (id_,) in rows]

    def newest(self, agent: str, limit: int, source: str | None = None) -> list[int]:
        """Return the latest ids; see :meth:`hive.database.memories.MemoryDatabase.newest`."""
        rows = self._rows(
            "SELECT id FROM hive_contexts WHERE agent = %s AND (%s::text IS NULL OR source = %s) "
            "ORDER BY at_ms DESC, id DESC LIMIT %s",
            agent,
            source,
            source,
            limit,
        )
        return [id_ for (id_,) in rows]

    def use(self, agent: str, ids: Collection[int]) -> None:
        """Count a use of contexts."""
        with self._connections.transaction() as connection:
            # In one order, so that two who count the same contexts do not wait for one another.
            connection.execute(
                "UPDATE hive_contexts SET used_count = used_count + 1 WHERE id IN "
                "(SELECT id FROM hive_contexts WHERE agent = %s AND id = ANY(%s) ORDER BY id FOR UPDATE)",
                (agent, list(ids)),
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
        with self._connections.transaction() as connection:
            for id_, reason in sorted(dropped.items()):
                moved = connection.execute(_ARCHIVE, (agent, id_, run, str(reason), at_ms, until_ms))
                if not moved.rowcount:
                    raise gone(id_, agent)
            if record is not None:
                _save_run(connection, record)
            return [_added(connection, agent, one, run) for one in drafts]

    def put_back(self, agent: str, ids: Collection[int]) -> int:
        """Put contexts back; see :meth:`hive.database.memories.MemoryDatabase.put_back`."""
        with self._connections.transaction() as connection:
            return connection.execute(_BACK.format(condition="id = ANY(%s)"), (agent, list(ids))).rowcount

    def undo(self, agent: str, run: str, record: StoredRun | None = None) -> int:
        """Undo a run; see :meth:`hive.database.memories.MemoryDatabase.undo`."""
        with self._connections.transaction() as connection:
            later = connection.execute(
                "SELECT run FROM hive_archived_contexts WHERE agent = %s AND written_by = %s AND NOT run = ANY(%s) LIMIT 1",
                (agent, run, [run, BOUNDS, FORGOTTEN]),
            ).fetchone()
            kept = connection.execute(
                "SELECT expired_count FROM hive_consolidations WHERE run = %s FOR UPDATE", (run,)
            ).fetchone()
            require_undoable(run, later[0] if later else None, kept[0] if kept else 0)
            for table in ("hive_contexts", "hive_archived_contexts"):
                connection.execute(f"DELETE FROM {table} WHERE agent = %s AND written_by = %s", (agent, run))  # noqa: S608
            if record is not None:
                _save_run(connection, record)
            return connection.execute(_BACK.format(condition="run = %s"), (agent, run)).rowcount

    def archived(self, agent: str, run: str | None = None, limit: int | None = None) -> list[ArchivedContext]:
        """Return what left the memory; see :meth:`hive.database.memories.MemoryDatabase.archived`."""
        rows = self._rows(
            f"SELECT id, {ARCHIVED_COLUMNS} FROM hive_archived_contexts "  # noqa: S608
            "WHERE agent = %s AND (%s::text IS NULL OR run = %s) ORDER BY id LIMIT %s",
            agent,
            run,
            run,
            limit,
        )
        return [archived_of(row) for row in rows]

    def size(self, agent: str) -> MemorySize:
        """Return how large a memory is."""
        [row] = self._rows(_SIZE, [*COMPACTED], agent, agent)
        return size_of(row)

    def agents(self) -> list[str]:
        """Return the names of all agents with a memory."""
        rows = self._rows("SELECT agent FROM hive_contexts UNION SELECT agent FROM hive_archived_contexts ORDER BY 1")
        return [name for (name,) in rows]

    def save_run(self, run: StoredRun) -> None:
        """Keep a run."""
        with self._connections.transaction() as connection:
            _save_run(connection, run)

    def runs(self, agent: str, limit: int = 50) -> list[StoredRun]:
        """Return the runs of an agent, latest first."""
        rows = self._rows(
            "SELECT run, agent, job, started_at_ms, state, report FROM hive_consolidations WHERE agent = %s "
            "ORDER BY started_at_ms DESC, run DESC LIMIT %s",
            agent,
            limit,
        )
        return [run_of(row) for row in rows]

    def index(self, *, rebuild: bool = False) -> bool:
        """Bring the index of words into its best form; PostgreSQL repairs its own, so it is never found damaged."""
        with self._connections.reading() as connection:
            if rebuild:
                connection.execute("REINDEX INDEX CONCURRENTLY hive_contexts_by_words")
            else:
                connection.execute("SELECT gin_clean_pending_list('hive_contexts_by_words')")
        return False

    def expire(self, now_ms: int, limit: int) -> int:
        """Delete what has been archived long enough; see :meth:`hive.database.memories.MemoryDatabase.expire`."""
        with self._connections.transaction() as connection:
            found = connection.execute(_EXPIRE, (now_ms, limit)).fetchone()
        return int(found[0]) if found else 0

    def maintain(self) -> Iterable[str]:
        """Give room back and renew what the planner knows; damage is PostgreSQL's own to report."""
        with self._connections.reading() as connection:
            connection.execute("VACUUM (ANALYZE) hive_contexts, hive_archived_contexts, hive_consolidations")
        return []

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        with self._connections.reading() as connection:
            return connection.execute(sql, values).fetchall()


def _added(connection: "psycopg.Connection[Any]", agent: str, one: Context, run: str) -> int:
    text = one.text.encode()
    row = (agent, one.kind.value, text, one.author, one.source, one.at_ms, one.used_count, one.token_count, one.subject)
    found = connection.execute(_ADD, (*row, run, one.text.replace("\0", " "))).fetchone()
    return int(found[0]) if found else 0


def _save_run(connection: "psycopg.Connection[Any]", run: StoredRun) -> None:
    connection.execute(_SAVE_RUN, (run.run, run.agent, run.job, run.started_at_ms, run.state, run.report))
