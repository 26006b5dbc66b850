"""How a channel waits: for wake tokens of its queues, or, where nothing is acknowledged, for the messages themselves."""

from collections import deque
from collections.abc import Sequence
from queue import Empty
from typing import Any

from kombu.transport import redis as kombu_redis

from hive.store.values import Delivery
from hive.transport import popping
from hive.transport.asking import Ahead

#: Nothing that is due makes a channel wait for less; a wait of 0 would never end.
SHORTEST_WAIT_S = 0.005


class Waiting:
    """The blocking pops of a channel, in the place of kombu's, which take messages before they are recorded."""

    settings: Any
    store: Any
    _consumer: Any
    turn: Any
    deliver_one: Any
    _ask_ahead: Any
    _take_ahead: Any
    connection: Any
    client: Any
    active_queues: Any
    brpop_timeout: float
    socket_timeout: Any
    connection_errors: Any
    ResponseError: Any
    _queue_cycle: Any
    _flush_brpop_reauth: Any
    _no_ack: set[str]
    _ready: deque[Delivery]
    _may_have_more: bool
    #: When the next scheduled message is due, by the monotonic clock.
    _due_at_s: float = float("inf")
    _in_poll: Any = None
    _brpop_sent_at: float | None = None
    #: The claim that was sent along with the wait, until its reply was read.
    _ahead: Ahead | None = None
    _overdue_look: Any = None
    #: The queues whose messages are waited for without a record; none: tokens are.
    _popping: tuple[str, ...] = ()
    #: The queue of the token that came, as long as the claim that follows may be of it alone.
    _woken: str | None = None
    _all_claimed_s = float("-inf")

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Wait for a wake token; nothing is taken by it, so nothing is lost with its reply.

        Where nothing is acknowledged, wait for the messages themselves. Where the worker begins its tasks, a claim goes with it:
        the broker carries it out as soon as a token has come, so that the message comes in the same reply.
        """
        if self._ahead is not None:
            # The wait before was lost with its connection, and a token with it.
            self._forgo()
            self.connection.cycle.nudge()
        if self._may_have_more:
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        self._in_poll = self.client.connection
        self._brpop_sent_at = self.connection.clock.monotonic_s()
        wait_s = (self.brpop_timeout if timeout is None else timeout) or self.settings.poll_every_s
        wait_s = min(wait_s, max(self._due_at_s - self._brpop_sent_at, SHORTEST_WAIT_S))
        self._popping = tuple(queues) if self._no_ack.issuperset(queues) else ()
        keys = popping.lists(self.store, queues) if self._popping else self.store.wake_keys(queues)
        self._ahead = None if self._popping else self._ask_ahead(queues)
        self._send_wait(self.client.connection, ("BRPOP", *keys, wait_s))
        if self._overdue_look is None:
            self._overdue_look = self.connection.cycle.look_in(self._overdue_s, self._look_for_overdue)
            # The loop's poll has its timeout already, which may be longer.
            self.connection.cycle.nudge()

    def _send_wait(self, connection: Any, wait: Sequence[Any]) -> None:
        if self._ahead is None:
            connection.send_command(*wait)
        else:
            connection.send_packed_command(connection.pack_commands([wait, self._ahead.call.command]))

    def _brpop_read(self, **options: Any) -> bool:
        """Read the reply of the wait, and claim: a token may be lost, so silence is no proof of an empty queue."""
        try:
            # Named so because kombu's client takes the key prefix off the reply of a BRPOP.
            reply = self.client.parse_response(self.client.connection, "BLPOP", **options)
            claimed = self._read_ahead()
        except (*self.connection_errors, self.ResponseError):
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        self._may_have_more = True
        if reply and self._popping:
            self._ready.append(popping.popped(self.store, self._popping, reply))
            while self.connection.cycle.has_loop and self.deliver_one():
                continue
            return True
        if claimed is not None:
            self._take_ahead(claimed)
        else:
            self._woken = self._queue_of(reply[0]) if reply else None
        try:
            self.turn()
        finally:
            self._woken = None
        if not self._ready:
            raise Empty
        return True

    def _read_ahead(self) -> Any:
        """Return the reply to the claim behind the wait; None: there is none, or it is to be asked in the ordinary way."""
        if self._ahead is None:
            return None
        reply = self._ahead.call.read(self.client.connection)
        if reply is None:
            # The script is gone from the broker, say; who asks again sees to it.
            self._forgo()
        return reply

    def _forgo(self) -> None:
        """Give up the claim behind a wait that has ended, or was lost; the next turn is to claim. A repeat does nothing."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and self._consumer is not None:
            self._consumer.forgo(ahead)
            self._may_have_more = True

    def end_wait(self) -> None:
        """Wait no longer; a token that is under way is lost, so the next turn is to claim. A repeat does nothing."""
        if self._in_poll:
            self._in_poll.disconnect()
            self._in_poll = None
        self._forgo()

    def _queue_of(self, wake_key: bytes) -> str | None:
        """Return whose token it is, unless it is time to look at all queues: some producers leave no tokens."""
        now_s = self.connection.clock.monotonic_s()
        if now_s >= min(self._all_claimed_s + self.settings.poll_every_s, self._due_at_s):
            return None
        recorded = (queue for queue in self.active_queues if queue not in self._no_ack)
        return next(
            (queue for queue in recorded if self.store.queue_keys(queue).key("wake") == wake_key.decode()), None
        )

    @property
    def _overdue_s(self) -> float:
        """Seconds after which the reply of a wait is overdue."""
        limit_s: float = self.brpop_timeout + (self.socket_timeout or kombu_redis.DEFAULT_HEALTH_CHECK_INTERVAL)
        return limit_s

    def _look_for_overdue(self) -> None:
        """Drop a wait that is overdue; look again when the one that is under way would be.

        One look serves many waits: an event loop keeps each until its time, even if it was cancelled.
        """
        self._overdue_look = None
        if not self._in_poll or self._brpop_sent_at is None:
            return
        now_s = self.connection.clock.monotonic_s()
        left_s = self._brpop_sent_at + self._overdue_s - now_s
        if left_s > 0:
            self._overdue_look = self.connection.cycle.look_in(left_s, self._look_for_overdue)
        else:
            self.drop_overdue(now_s)

    def drop_overdue(self, now_s: float) -> None:
        """Drop the waiting connection if its reply is overdue by a socket timeout: nobody answers there."""
        connection = self._in_poll
        if not connection or self._brpop_sent_at is None:
            return
        sock = connection._sock
        if now_s - self._brpop_sent_at >= self._overdue_s and sock and not kombu_redis._socket_readable(sock):
            kombu_redis.warning("no word from the broker for %.0f seconds: reconnecting", now_s - self._brpop_sent_at)
            connection.disconnect()
