"""A private broker for one test."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hive.runtime.broker import EmbeddedBroker
from hive.settings.model import Settings


@contextmanager
def temporary_broker() -> Iterator[str]:
    """Run a broker for the length of a ``with`` block, in a directory of its own that goes with it.

    Nothing of the user's settings or environment leads to it or away from it, and any number may run at once.

    Yields:
        Its address, for ``broker`` and ``backend`` of an application.

    Raises:
        BrokerMissingError: there is no server to start.
    """
    with tempfile.TemporaryDirectory(prefix="hive-broker-") as directory:
        broker = EmbeddedBroker(Settings(home=Path(directory)))
        broker.ensure()
        try:
            yield broker.url
        finally:
            broker.stop()
