"""Switches that operators turn and processes read before each act, so that a turn holds everywhere from the next act on."""

from collections.abc import Mapping

from hive.store.caller import Caller
from hive.store.faults import translated


class Switchboard:
    """Named switches of one subject, a hash on the broker.

    Args:
        store: the broker.
        subject: what the switches belong to, such as ``rest``.
    """

    def __init__(self, store: Caller, subject: str) -> None:
        self._store = store
        self._key = store.layout.shared(f"hive:switches:{subject}", "switches")

    def read(self) -> dict[str, str]:
        """Return every switch that was ever turned.

        Raises:
            BrokerGoneError: no reply.
        """
        with translated("switches"):
            found = self._store.client.hgetall(self._key)
        return {name.decode(): value.decode() for name, value in found.items()}

    def turn(self, switches: Mapping[str, str | int]) -> None:
        """Set switches, all or none; others stay. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        with translated("switches"):
            self._store.client.hset(self._key, mapping=dict(switches))

    def count(self, name: str) -> int:
        """Add one to a switch that is a number and return it. A repeat adds one more.

        Raises:
            BrokerGoneError: no reply; it may have been counted.
        """
        with translated("switches"):
            return int(self._store.client.hincrby(self._key, name, 1))
