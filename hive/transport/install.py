"""Putting hive's transport in the place of kombu's."""

from kombu import transport

#: URL scheme -> address of the transport. Flower reads the scheme, so hive has none of its own. This is the one place
#: where a class is named by a string: kombu insists on it.
ALIASES = {
    "redis": "hive.transport.transport:Transport",
    "rediss": "hive.transport.transport:Transport",
    "redis+socket": "hive.transport.transport:Transport",
    "sentinel": "hive.transport.transport:SentinelTransport",
}


def install() -> None:
    """Let kombu use hive's transport for Redis addresses in this process. A repeat changes nothing.

    Connections that exist already keep the transport they have.
    """
    transport.TRANSPORT_ALIASES.update(ALIASES)
    for scheme in ALIASES:
        # What kombu has resolved before, it resolves no more.
        transport._transport_cache.pop(scheme, None)
