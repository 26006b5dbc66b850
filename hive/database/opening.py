"""Which archive the settings mean."""

from pathlib import Path
from urllib.parse import urlsplit

from hive.database.archive import LetterArchive
from hive.database.postgres import PostgresArchive
from hive.database.sqlite import SqliteArchive
from hive.errors import SettingsError


def open_archive(url: str | None, path: Path) -> LetterArchive:
    """Return the archive at an address; nothing is connected or made yet.

    Args:
        url: ``postgresql://…``, ``sqlite:///path`` or ``None``: the file ``path``.
        path: of the file where no address is given.

    Raises:
        SettingsError: it is another kind of address, or what it needs is not installed.
    """
    if url is None:
        return SqliteArchive(path)
    parts = urlsplit(url)
    if parts.scheme in {"postgresql", "postgres"}:
        return PostgresArchive(url)
    if parts.scheme == "sqlite" and not parts.netloc and parts.path.strip("/"):
        # Like elsewhere: three slashes before a relative path, four before an absolute one.
        return SqliteArchive(Path(parts.path[1:]))
    raise SettingsError(
        f"dead.archive_url has the scheme {parts.scheme or 'of a path'!r}: "
        "postgresql://user:password@host/database or sqlite:///path is meant"
    )
