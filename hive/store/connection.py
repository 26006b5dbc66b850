"""A plain client for a broker's address, for what speaks to a broker without kombu."""

from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def never_repeating() -> Retry:
    """Return the retry policy the store's clients must have: none, because a reply can be lost after a script ran."""
    return Retry(NoBackoff(), 0)


def connect(url: str, timeout_s: float = 5.0) -> redis.Redis:
    """Return a client that decodes nothing and repeats nothing; the first command connects.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` or kombu's ``redis+socket://``.
        timeout_s: seconds to wait for a connection, and for each reply.

    Raises:
        ValueError: another scheme.
    """
    return redis.Redis.from_url(
        _plain(url),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=never_repeating(),
        decode_responses=False,
    )


def _plain(url: str) -> str:
    """Return kombu's address of a unix socket as redis-py writes it."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0].strip("/") or "0"
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"unix://{login}{unquote(parts.path)}?db={database}"


def over(pool: redis.ConnectionPool) -> redis.Redis:
    """Return a client over an existing pool, without key prefix: the store names whole keys."""
    return redis.Redis(connection_pool=pool)
