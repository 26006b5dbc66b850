"""Flower beside a hive, never without a password."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from hive.errors import HiveError, SettingsError
from hive.runtime.home import Home, kept_secret
from hive.settings.model import Settings

#: Flower's own variables, which it reads from its environment.
BASIC_AUTH = "FLOWER_BASIC_AUTH"
OPEN_AUTH = "FLOWER_AUTH"
OPEN_API = "FLOWER_UNAUTHENTICATED_API"

#: Who logs in with the password that is kept below the home.
KEPT_USER = "hive"


def flower_login(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """Return ``user:password`` for Flower: of its own variable, else of the settings, else one kept below the home.

    Raises:
        SettingsError: it is set to something without a colon.
    """
    login = environ.get(BASIC_AUTH) or (settings.fleet.flower_auth and settings.fleet.flower_auth.get_secret_value())
    if not login:
        return f"{KEPT_USER}:{kept_secret(_kept_path(settings))}"
    if ":" not in login.strip(":"):
        raise SettingsError(f"{BASIC_AUTH} (or fleet.flower_auth) must be written user:password")
    return login


def flower_environ(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for Flower, in which somebody has to log in.

    With a login, Flower's HTTP API asks for it too, and the variable that would open the API to everybody has no place.
    Where Flower is told to let a provider log people in (``FLOWER_AUTH``), that stays.

    Raises:
        SettingsError: the login is malformed.
    """
    safe = {name: value for name, value in environ.items() if name != OPEN_API}
    return safe if safe.get(OPEN_AUTH) else {**safe, BASIC_AUTH: flower_login(settings, environ)}


def require_free_port(port: int, address: str = "127.0.0.1") -> None:
    """Say at once if Flower could not listen; its own end would say so in a traceback.

    Raises:
        HiveError: the port is taken, or this user may not use it, or the address is not this host's.
    """
    try:
        found = socket.getaddrinfo(address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, where in found:
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(where)
    except OSError as exc:
        raise HiveError(
            f"Flower cannot listen on port {port} of {address or 'this host'} ({exc.strerror}): end who does, or set "
            "fleet.flower_port (HIVE_FLEET_FLOWER_PORT, `hive flower --port`) to a free one"
        ) from exc


def login_hint(settings: Settings, environ: Mapping[str, str] = os.environ) -> str:
    """Say where the login for Flower stands, without telling it."""
    if environ.get(OPEN_AUTH):
        return f"login by {OPEN_AUTH}"
    if environ.get(BASIC_AUTH):
        return f"login as in {BASIC_AUTH}"
    if settings.fleet.flower_auth:
        return "login as in fleet.flower_auth"
    return f"user {KEPT_USER}, password in {_kept_path(settings)}"


def _kept_path(settings: Settings) -> Path:
    return Home(settings.home.absolute()).path / "flower.password"
