"""The only package that talks to Redis: keys, scripts, typed replies."""

from hive.store.faults import BatchPublishError, BrokerFullError, BrokerGoneError
from hive.store.keys import FORMAT_VERSION, Layout, QueueKeys
from hive.store.server import check_server, never_repeating
from hive.store.store import Store

__all__ = [
    "FORMAT_VERSION",
    "BatchPublishError",
    "BrokerFullError",
    "BrokerGoneError",
    "Layout",
    "QueueKeys",
    "Store",
    "check_server",
    "never_repeating",
]
