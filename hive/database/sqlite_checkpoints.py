"""Checkpoints in a file of SQLite."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hive.database.checkpoints import LAST_SIGN, FaultPoint, StoredCheckpoint, StoredHead, head_of, nowhere, row_of
from hive.database.sqlite_file import SqliteFile

if TYPE_CHECKING:
    import sqlite3

#: The body stands last, so that reading the others does not touch its pages.
SCHEMA = (
    """
CREATE TABLE checkpoint_heads (
    agent TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    fencing_token INTEGER NOT NULL,
    is_forgotten INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    seal BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE checkpoints (
    agent TEXT NOT NULL,
    generation INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    label TEXT,
    is_pinned INTEGER NOT NULL,
    header BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX checkpoints_by_generation ON checkpoints (agent, generation);
CREATE INDEX checkpoints_by_label ON checkpoints (agent, label, generation) WHERE label IS NOT NULL
""",
)

PAGE_BYTES = 16_384

#: Checkpoints that one transaction of a prune removes, so that writers wait for it only shortly.
PRUNED_AT_ONCE = 20

_HEADER = "SELECT agent, generation, at_ms, label, is_pinned, header FROM checkpoints "
_WHOLE = "SELECT agent, generation, at_ms, label, is_pinned, header, body FROM checkpoints "

_MOVE = """
UPDATE checkpoint_heads SET generation = ?, fencing_token = ?, is_forgotten = ?, at_ms = ?, seal = ?
WHERE agent = ? AND generation = ? AND seal = ?
"""

_TRIM = """
DELETE FROM checkpoints WHERE agent = ?1 AND is_pinned = 0 AND generation < (
    SELECT generation FROM checkpoints WHERE agent = ?1 AND is_pinned = 0 ORDER BY generation DESC LIMIT 1 OFFSET ?2
)
"""

_OLD = """
SELECT id FROM (
    SELECT rowid AS id, at_ms, is_pinned, row_number() OVER (PARTITION BY agent ORDER BY generation DESC) AS place FROM checkpoints
) WHERE at_ms < ? AND is_pinned = 0 AND place > ? LIMIT ?
"""


class SqliteCheckpoints:
    """See :class:`hive.database.checkpoints.CheckpointDatabase`; serves the agents of one host.

    Args:
        path: the file.
        at: a test's fault points.
    """

    def __init__(self, path: Path, at: FaultPoint | None = None) -> None:
        self.file = SqliteFile(path, SCHEMA, page_bytes=PAGE_BYTES)
        self._at = at or nowhere

    @property
    def place(self) -> str:
        """The file."""
        return str(self.file.path)

    def head(self, agent: str) -> StoredHead | None:
        """Return the head of an agent."""
        with self.file.reading() as connection:
            if connection is None:
                return None
            found = connection.execute(
                "SELECT generation, fencing_token, is_forgotten, at_ms, seal FROM checkpoint_heads WHERE agent = ?",
                (agent,),
            ).fetchone()
        return None if found is None else head_of(agent, found)

    def add(self, head: StoredHead, row: StoredCheckpoint, *, expected: StoredHead | None, keep_count: int) -> bool:
        """Move the head and add a checkpoint, if the head is as expected."""
        # To write over what is removed would double what a write costs; whatever removes on demand does so.
        with self.file.writing(about_bytes=len(row.body), erases=False) as connection:
            self._at("begun")
            if not self._moved(connection, head, expected):
                return False
            self._at("head moved")
            # What lies under the new number can only be what damage has made of another row.
            connection.execute(
                "DELETE FROM checkpoints WHERE agent = ? AND generation = ?", (row.agent, row.generation)
            )
            connection.execute(
                "INSERT INTO checkpoints (agent, generation, at_ms, label, is_pinned, header, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row.agent, row.generation, row.at_ms, row.label, int(row.is_pinned), row.header, row.body),
            )
            self._at("row added")
            connection.execute(_TRIM, (row.agent, keep_count - 1))
            self._at("pruned")
        self._at("committed")
        return True

    def forget(self, head: StoredHead, *, expected: StoredHead | None) -> int | None:
        """Move the head and remove all checkpoints of its agent."""
        with self.file.writing() as connection:
            if not self._moved(connection, head, expected):
                return None
            return connection.execute("DELETE FROM checkpoints WHERE agent = ?", (head.agent,)).rowcount

    def newest(self, agent: str, limit: int) -> list[StoredCheckpoint]:
        """Return the newest checkpoints of an agent, newest first."""
        return self._selected(_WHOLE + "WHERE agent = ? ORDER BY generation DESC LIMIT ?", (agent, limit))

    def one(self, agent: str, generation: int) -> StoredCheckpoint | None:
        """Return one generation."""
        found = self._selected(_WHOLE + "WHERE agent = ? AND generation = ?", (agent, generation))
        return found[0] if found else None

    def labelled(self, agent: str, label: str) -> StoredCheckpoint | None:
        """Return the newest checkpoint with a label."""
        ordered = "WHERE agent = ? AND label = ? ORDER BY generation DESC LIMIT 1"
        found = self._selected(_WHOLE + ordered, (agent, label))
        return found[0] if found else None

    def headers(self, agent: str) -> list[StoredCheckpoint]:
        """Return all checkpoints of an agent without their bodies, newest first."""
        return self._selected(_HEADER + "WHERE agent = ? ORDER BY generation DESC", (agent,))

    def replace(self, row: StoredCheckpoint, *, expected_header: bytes) -> bool:
        """Put other bytes in place of a checkpoint."""
        with self.file.writing() as connection:
            changed = connection.execute(
                "UPDATE checkpoints SET header = ?, body = ? WHERE agent = ? AND generation = ? AND header = ?",
                (row.header, row.body, row.agent, row.generation, expected_header),
            )
            return changed.rowcount == 1

    def prune(self, *, before_ms: int, keep_least: int, stop: Callable[[], bool]) -> int:
        """Remove checkpoints older than an instant, but for the newest few of each agent."""
        removed = 0
        if not self.file.path.exists():
            return removed
        while not stop():
            with self.file.writing() as connection:
                old = connection.execute(_OLD, (before_ms, keep_least, PRUNED_AT_ONCE)).fetchall()
                connection.executemany("DELETE FROM checkpoints WHERE rowid = ?", old)
                if not old:
                    connection.execute(
                        "DELETE FROM checkpoint_heads WHERE is_forgotten = 1 AND at_ms < ? "
                        "AND agent NOT IN (SELECT agent FROM checkpoints)",
                        (before_ms,),
                    )
                    return removed
            removed += len(old)
        return removed

    def agents(self, prefix: str = "") -> Iterator[str]:
        """Yield the agents that have checkpoints, by name."""
        with self.file.reading() as connection:
            if connection is None:
                return
            found = connection.execute(
                "SELECT DISTINCT agent FROM checkpoints WHERE agent >= ? AND agent < ? ORDER BY agent",
                (prefix, prefix + LAST_SIGN),
            ).fetchall()
        for (agent,) in found:
            yield agent

    def close(self) -> None:
        """Let go of connections."""
        self.file.close()

    def _moved(self, connection: "sqlite3.Connection", head: StoredHead, expected: StoredHead | None) -> bool:
        values = (head.generation, head.fencing_token, head.is_forgotten, head.at_ms, head.seal)
        if expected is None:
            moved = connection.execute(
                "INSERT INTO checkpoint_heads (generation, fencing_token, is_forgotten, at_ms, seal, agent) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (agent) DO NOTHING",
                (*values, head.agent),
            )
        else:
            moved = connection.execute(_MOVE, (*values, head.agent, expected.generation, expected.seal))
        return moved.rowcount == 1

    def _selected(self, query: str, arguments: tuple[object, ...]) -> list[StoredCheckpoint]:
        with self.file.reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(query, arguments).fetchall()
        return [row_of(row[:6], *row[6:]) for row in rows]
