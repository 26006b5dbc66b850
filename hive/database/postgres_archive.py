"""An archive of dead letters in PostgreSQL, shared by all hosts; needs the extra ``postgres``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hive.database.address import CONNECT_TIMEOUT_S, psycopg_of, without_password
from hive.database.archive import ArchivedLetter, ArchiveError

if TYPE_CHECKING:
    import psycopg

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hive_dead_letters (
    queue text NOT NULL,
    id text COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    priority integer NOT NULL,
    record bytea NOT NULL,
    payload bytea NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, id)
);
CREATE INDEX IF NOT EXISTS hive_dead_letters_by_age ON hive_dead_letters (queue, at_ms, id)
"""

_ADD = """
INSERT INTO hive_dead_letters (queue, id, at_ms, priority, record, payload) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""

#: Held while the table is made: two who make it at once would disturb one another.
_SCHEMA_LOCK = 4_839_127_640_011

#: Letters that are read at a time.
_PAGE = 200


class PostgresArchive:
    """A table of dead letters, made when something is added first.

    Args:
        url: ``postgresql://user:password@host/database``, as libpq takes it.

    Raises:
        SettingsError: the extra ``postgres`` is not installed.
    """

    def __init__(self, url: str) -> None:
        self._psycopg: Any = psycopg_of("an archive in PostgreSQL")
        self._url = url

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._url,)

    @property
    def place(self) -> str:
        """Its address, without the password."""
        return without_password(self._url)

    def add(self, letters: Sequence[ArchivedLetter]) -> None:
        """Keep letters; see :meth:`hive.database.archive.LetterArchive.add`."""
        rows = [(one.queue, one.id, one.at_ms, one.priority, one.record, one.payload) for one in letters]
        with self._open() as connection:
            self._make_table(connection)
            # A letter is removed from the broker after this: it must survive the machine, not only the process.
            connection.execute("SET LOCAL synchronous_commit TO on")
            connection.cursor().executemany(_ADD, rows)

    def count(self, queue: str | None = None) -> int:
        """Return how many letters are kept, of one queue or of all."""
        with self._open() as connection:
            if not self._has_table(connection):
                return 0
            found = connection.execute(
                "SELECT COUNT(*) FROM hive_dead_letters WHERE %(queue)s::text IS NULL OR queue = %(queue)s",
                {"queue": queue},
            ).fetchone()
        return int(found[0]) if found else 0

    def letters(self, queue: str) -> Iterator[ArchivedLetter]:
        """Yield the letters of a queue, oldest first."""
        with self._open() as connection:
            if not self._has_table(connection):
                return
            with connection.cursor("hive_dead_letters") as rows:
                rows.itersize = _PAGE
                rows.execute(
                    "SELECT queue, id, at_ms, priority, record, payload FROM hive_dead_letters WHERE queue = %s "
                    "ORDER BY at_ms, id",
                    (queue,),
                )
                for name, id_, at_ms, priority, record, payload in rows:
                    yield ArchivedLetter(
                        queue=name, id=id_, at_ms=at_ms, priority=priority, record=record, payload=payload
                    )

    def expire(self, before_ms: int, limit: int) -> int:
        """Delete the oldest letters; see :meth:`hive.database.archive.LetterArchive.expire`."""
        with self._open() as connection:
            if not self._has_table(connection):
                return 0
            deleted = connection.execute(
                "DELETE FROM hive_dead_letters WHERE (queue, id) IN "
                "(SELECT queue, id FROM hive_dead_letters WHERE at_ms < %s ORDER BY at_ms LIMIT %s)",
                (before_ms, limit),
            )
            return deleted.rowcount

    def _make_table(self, connection: "psycopg.Connection[Any]") -> None:
        if self._has_table(connection):
            return
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
        connection.execute(_SCHEMA)

    def _has_table(self, connection: "psycopg.Connection[Any]") -> bool:
        found = connection.execute("SELECT to_regclass('hive_dead_letters')").fetchone()
        return found is not None and found[0] is not None

    @contextmanager
    def _open(self) -> Iterator["psycopg.Connection[Any]"]:
        """Yield a connection in one transaction, which is committed if the block ends well."""
        try:
            with self._psycopg.connect(self._url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
                yield connection
        except self._psycopg.Error as error:
            raise ArchiveError(f"the archive {self.place} cannot be used: {error}") from error
