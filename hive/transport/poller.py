"""Waiting on the sockets of all channels of a connection, and taking turns between them."""

import os
from collections import deque
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport.redis import MultiChannelPoller

from hive.clock import Clock, SystemClock


class Poller(MultiChannelPoller):
    """kombu's poller over wake lists: before it waits, every channel sends what it owes and claims what it may.

    Under an event loop all that was claimed is delivered at once; without one, a call to :meth:`get` delivers one
    message, as kombu's consumers expect of ``drain_events``.

    Args:
        clock: for noticing a connection that no longer answers.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or SystemClock()
        #: Whether an event loop drives this poller.
        self.has_loop = False
        self._turns: deque[Any] = deque()
        self._nudge: tuple[int, int] | None = None
        self._is_nudged = False
        self._loop: Any = None
        self._flush_every_s = 0.0
        #: Whether what is owed has waited long enough for more.
        self.is_flush_due = False

    def watch_nudges(self, loop: Any, flush_every_s: float) -> None:
        """Let :meth:`nudge` end the wait of an event loop. A repeat replaces the loop.

        Args:
            loop: the event loop.
            flush_every_s: longest that anything owed to the broker waits for more.
        """
        self._loop, self._flush_every_s = loop, flush_every_s
        self._nudge = self._nudge or os.pipe()
        self._is_nudged = self.is_flush_due = False
        loop.add_reader(self._nudge[0], self._read_nudge)

    def nudge(self) -> None:
        """Make the event loop come round at once, from any thread; what its own tick leaves behind would wait else."""
        if self._nudge is not None and not self._is_nudged:
            self._is_nudged = True
            os.write(self._nudge[1], b"\0")

    def _read_nudge(self) -> None:
        if self._nudge is not None:
            os.read(self._nudge[0], 4096)
            self._is_nudged = False
            # A timer set in the loop's tick would be seen too late: the poll that follows has its timeout already.
            self._loop.call_later(self._flush_every_s, self._flush)

    def _flush(self) -> None:
        self.is_flush_due = True

    def close(self) -> None:
        """Stop polling."""
        super().close()
        pipe, self._nudge = self._nudge, None
        for end in pipe or ():
            os.close(end)

    def add(self, channel: Any) -> None:
        """Take in a channel."""
        super().add(channel)
        self._turns.append(channel)

    def discard(self, channel: Any) -> None:
        """Let go of a channel."""
        super().discard(channel)
        if channel in self._turns:
            self._turns.remove(channel)

    def on_poll_init(self, poller: Any) -> None:
        """Use the poller of an event loop."""
        self.poller = poller
        self.has_loop = True

    def on_poll_start(self) -> None:
        """Let every channel take its turn, then wait for wake tokens where there is room for messages."""
        for channel in tuple(self._channels):
            channel.turn()
        self.is_flush_due = False
        super().on_poll_start()

    def get(self, callback: Callable[..., Any], timeout: float | None = None) -> None:  # noqa: ARG002 - kombu's name
        """Deliver one message to its consumer, waiting up to ``timeout`` seconds for it.

        Raises:
            Empty: there was none, or the event at hand was no message.
        """
        if self._deliver_one():
            return
        self._in_protected_read = True
        try:
            self.maybe_refresh_binding_expiry()
            self.on_poll_start()
            if self._deliver_one():
                return
            delivered = self._wait(timeout)
        finally:
            self._in_protected_read = False
            while self.after_read:
                self.after_read.pop()()
        if not self._deliver_one() and not delivered:
            raise Empty

    def _wait(self, timeout: float | None) -> bool:
        """Wait for a readable socket; fanout messages are delivered here, wake tokens only lead to a claim."""
        events = self.poller.poll(self._bounded(timeout))
        if not events:
            self.maybe_check_brpop_health()
        for fileno, event in events or ():
            if self._nudge is not None and fileno == self._nudge[0]:
                # Before the loop runs, or within one of its callbacks: a nudge is no event that somebody waits for.
                self._read_nudge()
                continue
            try:
                self.handle_event(fileno, event)
            except Empty:
                continue
            return True
        return False

    def _bounded(self, timeout: float | None) -> float:
        """Never wait longer than a second: what is owed to the broker and credit that returned wait for the next call."""
        return 1.0 if timeout is None else min(timeout, 1.0)

    def _deliver_one(self) -> bool:
        for _ in range(len(self._turns)):
            channel = self._turns[0]
            self._turns.rotate(-1)
            if channel.deliver_one():
                return True
        return False

    def maybe_restore_messages(self) -> None:
        """Do nothing: the lease thread of any worker returns what the dead have left."""

    def look_in(self, seconds: float, look: Callable[[], None]) -> Any:
        """Look for overdue replies after some time; returns the timer, or None without an event loop."""
        return self._loop.call_later(seconds, look) if self._loop is not None else None

    def maybe_check_brpop_health(self) -> None:
        """Drop connections on which a wake token, or word that there is none, is overdue: nobody answers there."""
        now_s = self.clock.monotonic_s()
        for channel in tuple(self._channels):
            channel.drop_overdue(now_s)
