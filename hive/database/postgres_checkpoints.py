"""Checkpoints in PostgreSQL, one database for all hosts."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hive.database.checkpoints import LAST_SIGN, FaultPoint, StoredCheckpoint, StoredHead, head_of, nowhere, row_of
from hive.database.postgres_connections import PostgresConnections

if TYPE_CHECKING:
    import psycopg

#: Checkpoints that one transaction of a prune removes.
PRUNED_AT_ONCE = 200

_HEADER = "SELECT agent, generation, at_ms, label, is_pinned, header FROM hive_checkpoints "
_WHOLE = "SELECT agent, generation, at_ms, label, is_pinned, header, body FROM hive_checkpoints "

_MOVE = """
UPDATE hive_checkpoint_heads SET generation = %s, fencing_token = %s, is_forgotten = %s, at_ms = %s, seal = %b
WHERE agent = %s AND generation = %s AND seal = %b
"""

_PLACE = """
INSERT INTO hive_checkpoint_heads (generation, fencing_token, is_forgotten, at_ms, seal, agent)
VALUES (%s, %s, %s, %s, %b, %s) ON CONFLICT (agent) DO NOTHING
"""

_ADD = """
INSERT INTO hive_checkpoints (agent, generation, at_ms, label, is_pinned, header, body)
VALUES (%s, %s, %s, %s, %s, %b, %b)
ON CONFLICT (agent, generation) DO UPDATE
SET at_ms = excluded.at_ms, label = excluded.label, is_pinned = excluded.is_pinned, header = excluded.header, body = excluded.body
"""

_TRIM = """
DELETE FROM hive_checkpoints WHERE agent = %s AND NOT is_pinned AND generation < (
    SELECT generation FROM hive_checkpoints WHERE agent = %s AND NOT is_pinned ORDER BY generation DESC LIMIT 1 OFFSET %s
)
"""

_PRUNE = """
DELETE FROM hive_checkpoints WHERE (agent, generation) IN (
    SELECT agent, generation FROM (
        SELECT agent, generation, at_ms, is_pinned, row_number() OVER (PARTITION BY agent ORDER BY generation DESC) AS place
        FROM hive_checkpoints
    ) AS placed WHERE at_ms < %s AND NOT is_pinned AND place > %s LIMIT %s
)
"""

_PRUNE_HEADS = """
DELETE FROM hive_checkpoint_heads AS head WHERE is_forgotten = 1 AND at_ms < %s
AND NOT EXISTS (SELECT 1 FROM hive_checkpoints WHERE agent = head.agent)
"""


class PostgresCheckpoints:
    """See :class:`hive.database.checkpoints.CheckpointDatabase`; the tables are made when they are needed first.

    Args:
        url: ``postgresql://user:password@host/database``, as libpq takes it.
        at: a test's fault points.

    Raises:
        SettingsError: the extra ``postgres`` is not installed.
    """

    def __init__(self, url: str, at: FaultPoint | None = None) -> None:
        self.connections = PostgresConnections(url)
        self._at = at or nowhere

    @property
    def place(self) -> str:
        """Its address, without the password."""
        return self.connections.place

    def head(self, agent: str) -> StoredHead | None:
        """Return the head of an agent."""
        with self.connections.reading() as connection:
            found = connection.execute(
                "SELECT generation, fencing_token, is_forgotten, at_ms, seal FROM hive_checkpoint_heads WHERE agent = %s",
                (agent,),
                binary=True,
            ).fetchone()
        return None if found is None else head_of(agent, found)

    def add(self, head: StoredHead, row: StoredCheckpoint, *, expected: StoredHead | None, keep_count: int) -> bool:
        """Move the head and add a checkpoint, if the head is as expected."""
        with self.connections.transaction() as connection:
            self._at("begun")
            if not self._moved(connection, head, expected):
                return False
            self._at("head moved")
            # What lies under the new number can only be what damage has made of another row.
            values = (row.agent, row.generation, row.at_ms, row.label, row.is_pinned, row.header, row.body)
            connection.execute(_ADD, values)
            self._at("row added")
            connection.execute(_TRIM, (row.agent, row.agent, keep_count - 1))
            self._at("pruned")
        self._at("committed")
        return True

    def forget(self, head: StoredHead, *, expected: StoredHead | None) -> int | None:
        """Move the head and remove all checkpoints of its agent."""
        with self.connections.transaction() as connection:
            if not self._moved(connection, head, expected):
                return None
            return connection.execute("DELETE FROM hive_checkpoints WHERE agent = %s", (head.agent,)).rowcount

    def newest(self, agent: str, limit: int) -> list[StoredCheckpoint]:
        """Return the newest checkpoints of an agent, newest first."""
        return self._selected(_WHOLE + "WHERE agent = %s ORDER BY generation DESC LIMIT %s", (agent, limit))

    def one(self, agent: str, generation: int) -> StoredCheckpoint | None:
        """Return one generation."""
        found = self._selected(_WHOLE + "WHERE agent = %s AND generation = %s", (agent, generation))
        return found[0] if found else None

    def labelled(self, agent: str, label: str) -> StoredCheckpoint | None:
        """Return the newest checkpoint with a label."""
        ordered = "WHERE agent = %s AND label = %s ORDER BY generation DESC LIMIT 1"
        found = self._selected(_WHOLE + ordered, (agent, label))
        return found[0] if found else None

    def headers(self, agent: str) -> list[StoredCheckpoint]:
        """Return all checkpoints of an agent without their bodies, newest first."""
        return self._selected(_HEADER + "WHERE agent = %s ORDER BY generation DESC", (agent,))

    def replace(self, row: StoredCheckpoint, *, expected_header: bytes) -> bool:
        """Put other bytes in place of a checkpoint."""
        with self.connections.transaction() as connection:
            changed = connection.execute(
                "UPDATE hive_checkpoints SET header = %b, body = %b WHERE agent = %s AND generation = %s AND header = %b",
                (row.header, row.body, row.agent, row.generation, expected_header),
            )
            return changed.rowcount == 1

    def prune(self, *, before_ms: int, keep_least: int, stop: Callable[[], bool]) -> int:
        """Remove checkpoints older than an instant, but for the newest few of each agent."""
        removed = 0
        while not stop():
            with self.connections.transaction() as connection:
                gone = connection.execute(_PRUNE, (before_ms, keep_least, PRUNED_AT_ONCE)).rowcount
                if gone == 0:
                    connection.execute(_PRUNE_HEADS, (before_ms,))
                    return removed
            removed += gone
        return removed

    def agents(self, prefix: str = "") -> Iterator[str]:
        """Yield the agents that have checkpoints, by name."""
        with self.connections.reading() as connection:
            found = connection.execute(
                "SELECT DISTINCT agent FROM hive_checkpoints WHERE agent >= %s AND agent < %s ORDER BY agent",
                (prefix, prefix + LAST_SIGN),
            ).fetchall()
        for (agent,) in found:
            yield str(agent)

    def close(self) -> None:
        """Let go of connections."""
        self.connections.close()

    def _moved(self, connection: "psycopg.Connection[Any]", head: StoredHead, expected: StoredHead | None) -> bool:
        values = (head.generation, head.fencing_token, head.is_forgotten, head.at_ms, head.seal, head.agent)
        if expected is None:
            moved = connection.execute(_PLACE, values)
        else:
            moved = connection.execute(_MOVE, (*values, expected.generation, expected.seal))
        return moved.rowcount == 1

    def _selected(self, query: str, arguments: tuple[object, ...]) -> list[StoredCheckpoint]:
        with self.connections.reading() as connection:
            rows = connection.execute(query, arguments, binary=True).fetchall()
        return [row_of(row[:6], *row[6:]) for row in rows]
