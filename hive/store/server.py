"""The server behind the address: is it one that can keep our messages?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from hive.errors import BrokerRefusedError
from hive.store.faults import translated

OLDEST = {"redis": (7, 0), "valkey": (8, 0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """The server behind the broker's address.

    Attributes:
        name: ``redis`` or ``valkey``.
        version: as it says itself.
        run_id: changes with every start of the server.
        maxmemory_policy: ``None`` where the server does not let us ask (hosted brokers).
    """

    name: str
    version: str
    run_id: str
    maxmemory_policy: str | None


def check_server(client: redis.Redis) -> ServerInfo:
    """Return what the server is, once, at start.

    Raises:
        BrokerRefusedError: it is too old, or evicts keys when it is full. Where ``CONFIG`` is forbidden the policy
            cannot be seen; then ``maxmemory_policy`` is ``None`` and the caller should say so in a warning.
    """
    with translated("check_server"):
        info = client.info("server")
        try:
            policy: Any = client.config_get("maxmemory-policy").get("maxmemory-policy")
        except redis.exceptions.ResponseError:
            policy = None
    return fit_server(info, policy.decode() if isinstance(policy, bytes) else policy)


def fit_server(info: Mapping[str, Any], policy: str | None) -> ServerInfo:
    """Read a server's own words about itself, and refuse one that cannot keep our messages.

    Args:
        info: the section ``server`` of ``INFO``.
        policy: its ``maxmemory-policy``; ``None`` where we may not ask.

    Raises:
        BrokerRefusedError: it is too old, or evicts keys when it is full.
    """
    name = "valkey" if "valkey_version" in info else "redis"
    version = str(info[f"{name}_version"])
    found = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if found < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        raise BrokerRefusedError(f"the broker is {name} {version}; hive needs {name} {oldest} or newer")
    if policy is not None and policy != "noeviction":
        raise BrokerRefusedError(
            f"the broker drops keys when it is full (maxmemory-policy {policy}), messages among them: "
            "set maxmemory-policy noeviction"
        )
    return ServerInfo(name=name, version=version, run_id=str(info["run_id"]), maxmemory_policy=policy)
