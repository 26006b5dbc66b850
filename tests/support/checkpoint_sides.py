"""Both sides of a checkpoint store for tests: a database of each kind, and a broker of the store's own prefix."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from hive.checkpoints import CheckpointStore
from hive.checkpoints.opening import open_database
from hive.database.checkpoints import FaultPoint
from hive.settings.agent_state import CheckpointSettings
from hive.settings.parts import DeliverySettings
from hive.store.connection import connect
from hive.store.keys import Layout
from hive.store.store import Store


def broker_store(url: str, prefix: str, at: Callable[[str, str], None] | None = None) -> Store:
    """Return a store with names of its own on a broker that others use, too."""
    return Store(connect(url), layout=Layout(prefix=prefix), settings=DeliverySettings(), at=at)


@dataclass
class Sides:
    """Where the checkpoints of one test lie; every call of :meth:`open` is like another process.

    Attributes:
        database_url: of the database.
        broker_url: of the broker.
        prefix: of the keys on the broker.
    """

    database_url: str
    broker_url: str
    prefix: str

    @classmethod
    def fresh(cls, database_url: str, broker_url: str) -> "Sides":
        return cls(database_url, broker_url, f"{uuid.uuid4().hex}:")

    def open(
        self,
        *,
        cached: bool = True,
        at: FaultPoint | None = None,
        at_script: Callable[[str, str], None] | None = None,
        **options: Any,
    ) -> CheckpointStore:
        """Return a store; keyword arguments that are no settings go to its constructor."""
        known = CheckpointSettings.model_fields
        settings = CheckpointSettings(**{name: options.pop(name) for name in list(options) if name in known})
        broker = broker_store(self.broker_url, self.prefix, at_script) if cached else None
        database = open_database(self.database_url, path=None)  # type: ignore[arg-type]
        database._at = at or database._at  # type: ignore[attr-defined]
        return CheckpointStore(
            database, broker=(lambda: broker) if broker else None, settings=settings, at=at, **options
        )

    def sessions_of(self, name: str) -> int:
        """Return how many sessions of that name use the database; SQLite has none."""
        if not self.database_url.startswith("postgresql"):
            return 0
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return int(connection.execute(query, (name,)).fetchone()[0])  # type: ignore[index]

    def empty_broker(self) -> None:
        """Remove what the broker has of this test."""
        client = connect(self.broker_url)
        for key in client.scan_iter(f"{self.prefix}*"):
            client.delete(key)
