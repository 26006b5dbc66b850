"""What every operation of the store needs: a client, the names, the settings, and time."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import redis

from hive.errors import BrokerRefusedError, MessageTooLargeError
from hive.settings.parts import DeliverySettings
from hive.store.faults import translated
from hive.store.keys import Layout, QueueKeys
from hive.store.lane import ServedLanes
from hive.store.scripts import run
from hive.store.values import Outgoing


class Caller:
    """Calls scripts with the names, limits and time they need.

    Args:
        client: decodes no replies and repeats nothing by itself; one for each thread, or one that threads may share.
        layout: how keys are named.
        settings: leases, limits, batches.
        now_ms: a test's clock, handed to every script; without it the broker's own clock counts.
        run_id: a test's run id of the server; without it the server says its own.
        lanes: of the worker that claims; none: a claim looks at no lane.
        at: told the name of each script and ``before`` or ``after`` it is called; a test kills its process there.

    Raises:
        BrokerRefusedError: the client would repeat a command whose reply was lost.
    """

    served_lanes: ServedLanes | None = None

    def __init__(
        self,
        client: redis.Redis,
        *,
        layout: Layout,
        settings: DeliverySettings,
        now_ms: Callable[[], int] | None = None,
        run_id: Callable[[], str] | None = None,
        lanes: ServedLanes | None = None,
        at: Callable[[str, str], None] | None = None,
    ) -> None:
        retry = client.get_retry()
        if retry is not None and retry.get_retries() != 0:
            raise BrokerRefusedError("the store's client must not repeat commands: build it with Retry(NoBackoff(), 0)")
        # redis-py types every reply as a union of all protocols' shapes; what ours are is decoded in each method.
        self.client: Any = client
        self.layout = layout
        self.settings = settings
        self._now_ms = now_ms
        self._run_id = run_id
        self.served_lanes = lanes
        self.at = at
        self.queue_keys: Callable[[str], QueueKeys] = lru_cache(maxsize=1024)(layout.queue)

    @property
    def lease_ms(self) -> int:
        """Length of a lease in milliseconds."""
        return round(self.settings.lease_s * 1000)

    def now_argument(self) -> str:
        """The time to hand to a script; empty: it asks the server."""
        return str(self._now_ms()) if self._now_ms else ""

    def server_time_ms(self) -> int:
        """Return the broker's time in milliseconds (or the test's)."""
        if self._now_ms:
            return self._now_ms()
        with translated("time"):
            seconds, microseconds = self.client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def run_id_argument(self) -> str:
        """The run id to hand to a script; empty: it asks the server."""
        return self._run_id() if self._run_id else ""

    def check_size(self, message: Outgoing) -> None:
        """Raise ``MessageTooLargeError`` for a message over ``max_message_bytes``."""
        if len(message.payload) > self.settings.max_message_bytes:
            raise MessageTooLargeError(len(message.payload), self.settings.max_message_bytes, message.queue)

    def call(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        """Call a script with its keys and arguments; see :func:`hive.store.scripts.load` for its name."""
        if self.at is None:
            return run(self.client, name, keys, arguments)
        step = name.partition(":")[0]
        self.at(step, "before")
        reply = run(self.client, name, keys, arguments)
        self.at(step, "after")
        return reply
