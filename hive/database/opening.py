"""Which archive the settings mean."""

from pathlib import Path

from hive.database.address import database_at
from hive.database.archive import LetterArchive
from hive.database.postgres_archive import PostgresArchive
from hive.database.sqlite_archive import SqliteArchive


def open_archive(url: str | None, path: Path) -> LetterArchive:
    """Return the archive at an address; nothing is connected or made yet.

    Args:
        url: ``postgresql://…``, ``sqlite:///path`` or ``None``: the file ``path``.
        path: of the file where no address is given.

    Raises:
        SettingsError: it is another kind of address, or what it needs is not installed.
    """
    place = database_at(url, path, "dead.archive_url")
    return SqliteArchive(place) if isinstance(place, Path) else PostgresArchive(place)
