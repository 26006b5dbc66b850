"""Where the broker is."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hive.runtime.home import Home, kept_secret
from hive.settings.model import Settings

#: Longest path of a unix socket that both Linux (108) and macOS (104) take, with room for a terminator.
SOCKET_PATH_MAX_BYTES = 100


def socket_path(settings: Settings) -> Path:
    """Return the embedded broker's unix socket: below the home, or below the temporary directory if that is too deep."""
    path = settings.home.absolute() / "broker" / "broker.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"hive-{os.getuid()}-{digest}" / "broker.sock"


def broker_password(settings: Settings) -> str | None:
    """Return the embedded broker's password, made at the first call; none while only a unix socket listens.

    A password guards the port; the unix socket is guarded by its directory, which only its owner may enter.
    """
    return kept_secret(Home(settings.home).broker / "password") if settings.embedded.port else None


def embedded_url(settings: Settings) -> str:
    """Return the address of the broker that hive itself runs on this machine."""
    password = broker_password(settings)
    if password is not None:
        return f"redis://:{quote(password, safe='')}@127.0.0.1:{settings.embedded.port}/0"
    return f"redis+socket://{quote(str(socket_path(settings)))}?virtual_host=0"


def broker_url(settings: Settings) -> str:
    """Return the broker's address: the one that is set, else the embedded broker's."""
    if settings.broker.url is not None:
        return settings.broker.url.get_secret_value()
    return embedded_url(settings)


def results_url(conf: Any) -> str | None:
    """Return where results go if no backend is configured: to the broker, if it can keep them.

    With several addresses that fail over to one another there is none: who asks for a result could not know which of
    them has it.

    Args:
        conf: Celery's settings of the application.
    """
    urls = conf.broker_url if isinstance(conf.broker_url, (list, tuple)) else [conf.broker_url or ""]
    first = str(urls[0])
    if first.startswith("sentinel://"):
        return first
    if len(urls) > 1 or ";" in first:
        return None
    return first if first.startswith(("redis://", "rediss://", "redis+socket://")) else None
