"""What a broker is, and whether it can serve us: asked once, before anything is started on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from hive.errors import BrokerMissingError, BrokerRefusedError

#: Oldest servers whose scripts and commands we use (design B3). Valkey reports 7.2 as its Redis version.
REDIS_FLOOR = (7, 0)
VALKEY_FLOOR = (8, 0)

#: Eviction policies under which a full broker refuses writes instead of dropping messages.
KEEPING_POLICIES = frozenset({"noeviction"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """What a server says about itself.

    Attributes:
        product: ``Valkey`` or ``Redis``.
        version: as it prints it.
        process_id: of the server, on its own host.
        used_memory_bytes: what it holds now.
        policy: its ``maxmemory_policy``.
    """

    product: str
    version: str
    process_id: int
    used_memory_bytes: int
    policy: str


def version_of(text: str) -> tuple[int, ...]:
    """Return ``9.1.2`` as numbers to compare; what is no number ends it."""
    numbers = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def floor_of(product: str) -> tuple[int, ...]:
    """Return the oldest version of ``product`` that can serve us."""
    return VALKEY_FLOOR if product == "Valkey" else REDIS_FLOOR


def examine(client: Any, where: str) -> BrokerFacts:
    """Ask a server what it is and refuse one that would lose messages. One round trip; changes nothing.

    Args:
        client: a redis client.
        where: the address for error sentences, without its password.

    Raises:
        BrokerMissingError: no answer; or it is still loading its data (the same call may succeed later).
        BrokerRefusedError: wrong password, too old, or it evicts keys when memory is full.
    """
    with translated(where):
        info = client.info()
    product = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info["redis_version"])
    facts = BrokerFacts(
        product=product,
        version=version,
        process_id=int(info["process_id"]),
        used_memory_bytes=int(info["used_memory"]),
        policy=str(info.get("maxmemory_policy", "noeviction")),
    )
    floor = floor_of(product)
    if version_of(version) < floor:
        needed = ".".join(map(str, floor))
        raise BrokerRefusedError(
            f"the broker at {where} is {product} {version}: hive needs {product} {needed} or newer"
        )
    if facts.policy not in KEEPING_POLICIES:
        raise BrokerRefusedError(
            f"the broker at {where} drops keys when its memory is full (maxmemory-policy {facts.policy}): "
            "set maxmemory-policy noeviction"
        )
    if info.get("loading"):
        raise BrokerMissingError(f"the broker at {where} is still loading its data: wait, then try again")
    return facts


def stop_server(client: Any) -> None:
    """Ask the server to write what it holds and end. It ends without an answer; a repeat finds nobody."""
    try:
        client.shutdown()
    except redis.ConnectionError:
        return


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what a client raises into our errors, each a sentence that says what to do.

    Args:
        where: the address for error sentences, without its password.
    """
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as exc:
        raise BrokerRefusedError(f"the broker at {where} refuses the password: {_first_line(exc)}") from exc
    except redis.BusyLoadingError as exc:
        raise BrokerMissingError(f"the broker at {where} is still loading its data: wait, then try again") from exc
    except (redis.ConnectionError, redis.TimeoutError, OSError) as exc:
        raise BrokerMissingError(
            f"no broker answers at {where} ({_first_line(exc)}): start it, or correct broker.url (HIVE_BROKER_URL)"
        ) from exc
    except redis.ResponseError as exc:
        raise BrokerRefusedError(f"the broker at {where} refuses to serve: {_first_line(exc)}") from exc


def _first_line(exc: BaseException) -> str:
    return (str(exc) or type(exc).__name__).splitlines()[0].rstrip(".")
