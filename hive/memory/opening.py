"""The database of memories that the settings mean."""

from pathlib import Path

from hive.database.address import database_at
from hive.database.memories import MemoryDatabase
from hive.database.postgres_memories import PostgresMemories
from hive.database.sqlite_memories import SqliteMemories


def open_memories(url: str | None, path: Path) -> MemoryDatabase:
    """Return the database at an address: ``postgresql://…``, ``sqlite:///path``, or the file ``path``; nothing is made yet.

    Raises:
        SettingsError: it is another kind of address, or what it needs is not installed.
    """
    place = database_at(url, path, "memory.database_url")
    return SqliteMemories(place) if isinstance(place, Path) else PostgresMemories(place)
