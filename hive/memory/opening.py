"""The database of memories that the settings mean."""

from pathlib import Path
from urllib.parse import urlsplit

from hive.database.memories import MemoryDatabase
from hive.database.postgres_memories import PostgresMemories
from hive.database.sqlite_memories import SqliteMemories
from hive.errors import SettingsError


def open_memories(url: str | None, path: Path) -> MemoryDatabase:
    """Return the database at an address: ``postgresql://…``, ``sqlite:///path``, or the file ``path``; nothing is made yet.

    Raises:
        SettingsError: it is another kind of address, or what it needs is not installed.
    """
    if url is None:
        return SqliteMemories(path)
    parts = urlsplit(url)
    if parts.scheme in {"postgresql", "postgres"}:
        return PostgresMemories(url)
    if parts.scheme == "sqlite" and not parts.netloc and parts.path.strip("/"):
        # Like elsewhere: three slashes before a relative path, four before an absolute one.
        return SqliteMemories(Path(parts.path[1:]))
    raise SettingsError(
        f"memory.database_url has the scheme {parts.scheme or 'of a path'!r}: "
        "postgresql://user:password@host/database or sqlite:///path is meant"
    )
