"""Where the broker is."""

import hashlib
import os
import tempfile
from pathlib import Path

from hive.settings.model import Settings

#: Longest path of a unix socket that both Linux (108) and macOS (104) take, with room for a terminator.
SOCKET_PATH_MAX_BYTES = 100


def socket_path(settings: Settings) -> Path:
    """Return the embedded broker's unix socket: below the home, or below the temporary directory if that is too deep."""
    path = settings.home / "broker.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX_BYTES:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"hive-{os.getuid()}-{digest}" / "broker.sock"


def broker_url(settings: Settings) -> str:
    """Return the broker's address: the one that is set, else the embedded broker's unix socket."""
    if settings.broker.url is not None:
        return settings.broker.url.get_secret_value()
    return f"redis+socket://{socket_path(settings)}?virtual_host=0"
