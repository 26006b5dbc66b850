"""The store that the settings mean."""

from collections.abc import Callable
from pathlib import Path

from hive.checkpoints.checkpoint import Damage
from hive.checkpoints.schema import StateSchema
from hive.checkpoints.store import CheckpointStore
from hive.database.address import database_at
from hive.database.checkpoints import CheckpointDatabase
from hive.database.postgres_checkpoints import PostgresCheckpoints
from hive.database.sqlite_checkpoints import SqliteCheckpoints
from hive.settings.agent_state import CheckpointSettings
from hive.store.store import Store


def open_checkpoints(
    settings: CheckpointSettings,
    path: Path,
    *,
    broker: Callable[[], Store] | None = None,
    schema: StateSchema | None = None,
    on_damage: Callable[[Damage], None] | None = None,
) -> CheckpointStore:
    """Return the store that the settings mean; nothing is connected or made yet.

    Args:
        settings: which database, and all else.
        path: of the SQLite file where the settings name no database.
        broker: see :class:`CheckpointStore`, as the others.
        schema: of the states.
        on_damage: told of damage.

    Raises:
        SettingsError: the address or the keys cannot be used, or what they need is not installed.
    """
    url = settings.database_url
    database = open_database(url.get_secret_value() if url is not None else None, path)
    return CheckpointStore(database, broker=broker, settings=settings, schema=schema, on_damage=on_damage)


def open_database(url: str | None, path: Path) -> CheckpointDatabase:
    """Return the database at an address: ``postgresql://…``, ``sqlite:///path``, or the file ``path``.

    Raises:
        SettingsError: it is another kind of address, or what it needs is not installed.
    """
    place = database_at(url, path, "checkpoints.database_url")
    return SqliteCheckpoints(place) if isinstance(place, Path) else PostgresCheckpoints(place)
