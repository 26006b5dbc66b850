"""What the addresses of databases in the settings mean."""

from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit, urlunsplit

from hive.errors import SettingsError

#: Seconds to wait for a connection to PostgreSQL.
CONNECT_TIMEOUT_S = 10


def database_at(url: str | None, path: Path, setting: str) -> Path | str:
    """Return where a database is: the path of an SQLite file, or the address of a PostgreSQL server.

    Args:
        url: ``postgresql://…``, ``sqlite:///path``, or ``None``: the file ``path``.
        path: of the file where no address is given.
        setting: where the address stands, for people.

    Raises:
        SettingsError: it is another kind of address.
    """
    if url is None:
        return path
    parts = urlsplit(url)
    if parts.scheme in {"postgresql", "postgres"}:
        return url
    if parts.scheme == "sqlite" and not parts.netloc and parts.path.strip("/"):
        # Like elsewhere: three slashes before a relative path, four before an absolute one.
        return Path(parts.path[1:])
    raise SettingsError(
        f"{setting} has the scheme {parts.scheme or 'of a path'!r}: "
        "postgresql://user:password@host/database or sqlite:///path is meant"
    )


def without_password(url: str) -> str:
    """Return the address of a server as it may be shown."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    # Parameters may hold a password as well, or the directory of a socket.
    return urlunsplit((parts.scheme, user + host, parts.path, "", ""))


def psycopg_of(what: str) -> ModuleType:
    """Return the module ``psycopg``.

    Raises:
        SettingsError: the extra ``postgres`` is not installed; it says that ``what`` needs it.
    """
    try:
        import psycopg  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise SettingsError(f"{what} needs the extra 'postgres': pip install 'agent-hive[postgres]'") from error
    return psycopg
