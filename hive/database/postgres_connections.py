"""Connections to a PostgreSQL whose tables are up to date; needs the extra ``postgres``."""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hive.database.address import CONNECT_TIMEOUT_S, psycopg_of, without_password
from hive.database.checkpoints import DatabaseError
from hive.database.idle_connections import IdleConnections
from hive.errors import SettingsError

if TYPE_CHECKING:
    import psycopg

#: The last step of :mod:`hive.database.migrations`.
NEWEST_STEP = "memories_1"

#: Held while tables are made or changed: two who do it at once would disturb one another.
_STEPS_LOCK = 4_839_127_640_012


class PostgresConnections:
    """Connections that are kept between calls; a forked child makes its own.

    Args:
        url: ``postgresql://user:password@host/database``, as libpq takes it.

    Raises:
        SettingsError: the extra ``postgres`` is not installed.
    """

    def __init__(self, url: str) -> None:
        self._psycopg: Any = psycopg_of("PostgreSQL")
        self._url = url
        self._idle: IdleConnections[psycopg.Connection[Any]] = IdleConnections()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._url,)

    @property
    def place(self) -> str:
        """Its address, without the password."""
        return without_password(self._url)

    @contextmanager
    def reading(self) -> Iterator["psycopg.Connection[Any]"]:
        """Yield a connection whose statements each see what is committed; for single statements that change nothing.

        Raises:
            DatabaseError: the database cannot be used.
        """
        try:
            connection = self._taken()
            try:
                yield connection
            finally:
                if not connection.closed:
                    self._idle.give_back(connection)
        except self._psycopg.Error as error:
            raise DatabaseError(f"the database {self.place} cannot be used: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator["psycopg.Connection[Any]"]:
        """Yield a connection in a transaction that is committed, and on disk, if the block ends well.

        Raises:
            DatabaseError: the database cannot be used; nothing was changed, unless the connection was lost at the end.
        """
        with self.reading() as connection, connection.transaction():
            yield connection

    def close(self) -> None:
        """Close the connections that nobody uses; a later call opens new ones."""
        self._idle.close()

    def _taken(self) -> "psycopg.Connection[Any]":
        self._idle.leave_to_parent()
        while (connection := self._idle.take()) is not None:
            if not _has_spoken(connection):
                return connection
            connection.close()
        return self._opened()

    def _opened(self) -> "psycopg.Connection[Any]":
        connection = self._psycopg.connect(self._url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True)
        try:
            # What is committed must survive the machine, not only the process.
            connection.execute("SET synchronous_commit TO on")
            if self._step(connection) != NEWEST_STEP:
                self._upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _step(self, connection: "psycopg.Connection[Any]") -> str | None:
        known = connection.execute("SELECT to_regclass('hive_schema_version')").fetchone()
        if known is None or known[0] is None:
            return None
        found = connection.execute("SELECT version_num FROM hive_schema_version").fetchone()
        return str(found[0]) if found else None

    def _upgrade(self, connection: "psycopg.Connection[Any]") -> None:
        try:
            import sqlalchemy  # noqa: PLC0415 - an optional dependency, and only whoever is first needs it
            from alembic import command  # noqa: PLC0415
            from alembic.config import Config  # noqa: PLC0415
            from alembic.util import CommandError  # noqa: PLC0415
        except ImportError as error:
            raise SettingsError(
                "making tables in PostgreSQL needs the extra 'postgres': pip install 'agent-hive[postgres]'"
            ) from error
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=lambda: self._psycopg.connect(self._url, connect_timeout=CONNECT_TIMEOUT_S),
            poolclass=sqlalchemy.NullPool,
        )
        try:
            with engine.begin() as steps:
                steps.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({_STEPS_LOCK})"))
                config.attributes["connection"] = steps
                command.upgrade(config, "head")
        except (CommandError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise DatabaseError(
                f"the tables of {self.place} are at step {self._step(connection)!r} and cannot be brought to "
                f"{NEWEST_STEP!r}; a newer hive may have made them: {error}"
            ) from error
        finally:
            engine.dispose()


def _has_spoken(connection: "psycopg.Connection[Any]") -> bool:
    """Whether an idle connection has something to read: the server has ended it, or is about to."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
