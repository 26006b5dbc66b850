"""The transports kombu finds under the Redis schemes once they are installed."""

from functools import partial
from typing import Any

from kombu.transport import redis as kombu_redis

from hive.clock import SystemClock
from hive.store.faults import BrokerFullError, BrokerGoneError
from hive.transport.channel import Channel, SentinelChannel
from hive.transport.options import delivery_settings
from hive.transport.poller import Poller
from hive.transport.process import Process

#: Seconds between two looks at the bindings of queues that expire, which live an hour.
BINDINGS_EVERY_S = 60.0


class Transport(kombu_redis.Transport):
    """kombu's Redis transport with hive's delivery."""

    Channel = Channel
    connection_errors = (*kombu_redis.Transport.connection_errors, BrokerGoneError, BrokerFullError)

    def __init__(self, client: Any, **kwargs: Any) -> None:
        self.clock = SystemClock()
        #: Callbacks of acknowledged and unacknowledged consumers by queue; each takes a built message.
        self.delivery_callbacks: dict[str, Any] = {}
        # The consumer must outlive this transport: kombu makes a new one at each reconnect of the same connection.
        self.process: Process = client.__dict__.setdefault("hive_process", Process())
        super().__init__(client, **kwargs)
        self.cycle = Poller(self.clock)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Let an event loop drive the transport."""
        before = set(loop.on_tick)
        super().register_with_event_loop(connection, loop)
        # kombu's tick registers every socket again at every turn, a system call each.
        loop.on_tick.difference_update(loop.on_tick - before)
        loop.on_tick.add(partial(self._tick, loop))
        self.cycle.watch_nudges(loop, delivery_settings(self.client.transport_options).flush_every_s)
        # kombu comes round every second for the bindings, and for messages that are not lost here.
        self.cycle._binding_expiry_tref.cancel()
        self.cycle._restore_messages_tref.cancel()
        self.cycle._binding_expiry_tref = loop.call_repeatedly(
            BINDINGS_EVERY_S, self.cycle.maybe_refresh_binding_expiry
        )

    def _tick(self, loop: Any) -> None:
        """Take a turn, and let the loop read what it does not read yet."""
        self.cycle.on_poll_start()
        for fileno in self.cycle.fds:
            if fileno not in loop.readers:
                loop.add_reader(fileno, self.on_readable, fileno)


class SentinelTransport(Transport, kombu_redis.SentinelTransport):
    """The same, on a broker that Sentinel watches over."""

    Channel = SentinelChannel
