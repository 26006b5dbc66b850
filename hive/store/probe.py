"""What a broker is, and whether it can serve us: asked once, before anything is started on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from hive.errors import BrokerMissingError, BrokerRefusedError
from hive.store.server import check_server


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """What a server says about itself.

    Attributes:
        product: ``valkey`` or ``redis``.
        version: as it prints it.
        process_id: of the server, on its own host.
        used_memory_bytes: what it holds now.
    """

    product: str
    version: str
    process_id: int
    used_memory_bytes: int


def version_of(text: str) -> tuple[int, ...]:
    """Return ``9.1.2`` as numbers to compare; what is no number ends it."""
    numbers = []
    for part in text.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def examine(client: redis.Redis, where: str) -> BrokerFacts:
    """Ask a server what it is and refuse one that would lose messages. Changes nothing.

    Args:
        client: any client of it.
        where: the address for error sentences, without its password.

    Raises:
        BrokerMissingError: no answer; or it is still loading its data (the same call may succeed later).
        BrokerRefusedError: wrong password, too old, or it evicts keys when memory is full.
    """
    with translated(where):
        server = check_server(client)
        info = client.info()
        # While it loads, it tells about itself and serves nothing else.
        client.ping()
    return BrokerFacts(
        product=server.name,
        version=server.version,
        process_id=int(info["process_id"]),
        used_memory_bytes=int(info["used_memory"]),
    )


def stop_server(client: redis.Redis) -> None:
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
    except redis.exceptions.InvalidResponse as exc:
        raise BrokerRefusedError(f"what answers at {where} is no Redis: correct broker.url (HIVE_BROKER_URL)") from exc
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as exc:
        if "required" in str(exc):
            raise BrokerRefusedError(
                f"the broker at {where} wants a password and was given none: write it into the address, "
                "redis://:PASSWORD@HOST (HIVE_BROKER_URL)"
            ) from exc
        raise BrokerRefusedError(f"the broker at {where} refuses the password: {_first_line(exc)}") from exc
    except redis.exceptions.BusyLoadingError as exc:
        raise BrokerMissingError(f"the broker at {where} is still loading its data: wait, then try again") from exc
    except (redis.ConnectionError, redis.TimeoutError, OSError) as exc:
        raise BrokerMissingError(
            f"no broker answers at {where} ({_first_line(exc)}): start it, or correct broker.url (HIVE_BROKER_URL)"
        ) from exc
    except redis.ResponseError as exc:
        raise BrokerRefusedError(f"the broker at {where} refuses to serve: {_first_line(exc)}") from exc


def _first_line(exc: BaseException) -> str:
    return (str(exc) or type(exc).__name__).splitlines()[0].rstrip(".")
