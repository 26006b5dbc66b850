"""The lease thread: it keeps a consumer alive on the broker whatever its tasks and its event loop do."""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from hive.clock import Clock, SystemClock
from hive.settings.parts import DeliverySettings
from hive.store.faults import BrokerFullError, BrokerGoneError
from hive.store.pipelining import Pipeline
from hive.store.store import Store
from hive.store.values import Renewal, Tick
from hive.transport.consumer import Consumer
from hive.transport.native import NativeThread

logger = logging.getLogger(__name__)

#: Seconds between two looks for what stock workers left unacknowledged for longer than their visibility timeout.
ADOPT_EVERY_S = 15.0

#: Seconds that one look for the dead takes at most: the rest of what they left is for the others, or the next look.
LOOK_S = 1.0

#: Leases between two looks of a consumer that is alone on its queues; below the half that counts as a gap.
LOOK_ALONE_LEASES = 0.2

#: Seconds behind the end of a lease at which it is looked for, at least and at most: all who look see the same end.
BEHIND_END_S = (0.01, 0.05)

#: Part of the time between two renewals after which one is due.
RENEWAL_DUE = 0.9

#: Leases between two turns of a consumer that is alone and holds nothing; below the half that counts as a gap.
TURN_IDLE_LEASES = 0.375

#: Leases without an answer after which a broker that the process has left is given up.
GIVEN_UP_LEASES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StockRecords:
    """Where a stock worker keeps what it has not acknowledged, by kombu's transport options.

    Attributes:
        visibility_timeout_s: how old a record must be to be taken over.
        key: kombu's ``unacked_key``, without key prefix.
        index_key: kombu's ``unacked_index_key``, without key prefix.
    """

    visibility_timeout_s: float
    key: str
    index_key: str


class Lease:
    """Renews the lease, compares what is in flight with what is held, and returns what dead consumers left.

    ``start`` and ``stop`` may be repeated; ``stop`` returns once the thread has ended. A consumer whose broker is away is
    kept, as no lease ends there meanwhile, unless its process has moved to another broker.

    Args:
        consumer: whose lease it is.
        store: over a connection of the thread's own.
        settings: how often.
        clock: for the intervals.
        rng: for the jitter, so that workers do not look all at once.
        on_reaped: told queue, consumer and number of messages returned after each reap.
        adopting: where stock workers on the same queues keep what they have not acknowledged.
        has_moved: asked whether the process consumes from another broker by now.
    """

    def __init__(
        self,
        consumer: Consumer,
        store: Store,
        settings: DeliverySettings,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        on_reaped: Callable[[str, str, int], None] | None = None,
        adopting: StockRecords | None = None,
        has_moved: Callable[[], bool] | None = None,
    ) -> None:
        self.consumer = consumer
        self.store = store
        self._pipeline = Pipeline(store)
        self.settings = settings
        self.clock = clock or SystemClock()
        self.on_reaped = on_reaped or _log_reaped
        self.late_count = 0
        self._channels = 0
        self._ended = False
        self._mutex = threading.Lock()
        self._rng = rng or random.SystemRandom()
        self._renewed_s = float("-inf")
        self._look_from_s = float("-inf")
        self._next_end_s = float("inf")
        self._is_alone = False
        self._answered_s = self.clock.monotonic_s()
        self._adopted_s = self.clock.monotonic_s()
        self._adopting = adopting
        self._has_moved = has_moved or bool
        self._stopped = threading.Event()
        self._thread: NativeThread | None = None
        self._ident = 0

    @property
    def is_used(self) -> bool:
        """Whether a channel is open."""
        return self._channels > 0

    @property
    def is_fresh(self) -> bool:
        """Whether it was renewed so lately that nobody can have taken anything away, however long this process stood still."""
        return self.clock.monotonic_s() - self._renewed_s < self.settings.lease_s / 2

    def open_channel(self) -> bool:
        """Count one more channel in and see that the thread runs; false if the consumer has gone for good."""
        with self._mutex:
            if self._ended:
                return False
            self._channels += 1
        self.start()
        return True

    def close_channel(self) -> None:
        """Count one channel out. After the last one the consumer goes: now, or with the end of what it still holds."""
        with self._mutex:
            self._channels = max(self._channels - 1, 0)
            last = not self._channels
        if last:
            try:
                self._leave()
            except BrokerGoneError as error:
                logger.warning("consumer %s leaves later: %s", self.consumer.id, error)

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._thread is None or not self._thread.is_alive:
            stopped = self._stopped = threading.Event()
            self._thread = NativeThread(lambda: self._run(stopped), "hive-lease")

    def stop(self) -> None:
        """End the thread and wait for it; from the thread itself, end it after this turn."""
        self._stopped.set()
        if self._thread is not None and threading.get_ident() != self._ident:
            self._thread.join()

    def _run(self, stopped: threading.Event) -> None:
        self._ident = threading.get_ident()
        failing = False
        while not stopped.wait(self._pause_s()):
            try:
                self.run_once()
                failing = False
            except (BrokerGoneError, BrokerFullError) as error:
                if not failing:
                    logger.warning("the lease of consumer %s cannot be renewed: %s", self.consumer.id, error)
                failing, self._is_alone = True, False
                self.give_up_if_in_vain()
            except Exception:
                # A password that was changed, a key that is of another type: without this thread the worker would go on,
                # and all it holds would be given to others, again and again.
                if not failing:
                    logger.exception("the lease of consumer %s cannot be renewed", self.consumer.id)
                failing, self._is_alone = True, False

    def _pause_s(self) -> float:
        """Return the time to the next turn: seldom where there is nobody to look for, and more so with nothing to keep."""
        if self._is_alone and self._channels and not self.consumer.interest.ttls_ms():
            if self.consumer.is_idle:
                return self.settings.lease_s * TURN_IDLE_LEASES
            return max(self.settings.renew_every_s * RENEWAL_DUE, self.settings.reap_every_s)
        pause_s = self.settings.reap_every_s * self._rng.uniform(0.8, 1.2)
        # A lease so near to its end is one of the dead: the next look is just behind it, not up to a whole pause later.
        ends_s = self._next_end_s - self.clock.monotonic_s() + self._rng.uniform(*BEHIND_END_S)
        return max(min(pause_s, ends_s), BEHIND_END_S[0])

    def run_once(self) -> None:
        """Do what is due: renew, compare, look for the dead; without channels, also send what is owed.

        Raises:
            BrokerGoneError: the broker did not answer; everything may be repeated.
        """
        # Known from the last look only: without an answer there is no hurry.
        self._next_end_s = float("inf")
        if not self._channels and self._leave():
            return
        due, began_s = self._is_renewal_due(), self.clock.monotonic_s()
        life, held, completed = self.consumer.snapshot()
        queues = self.consumer.queues
        looks = bool(queues) and began_s >= self._look_from_s
        renews = due and bool(held)
        # In one round trip: together they are most of what an idle worker asks of the broker.
        renewals, ticks = self._pipeline.run(
            (
                lambda store: store.renew(life, tuple(held)) if renews else None,
                lambda store: store.tick(queues) if looks else None,
            )
        )
        if renews:
            self._renewed(life, held, completed, renewals)
        self._keep_expiring(renewed=due)
        if looks:
            self._look(ticks, began_s)
            if self._adopting and self.clock.monotonic_s() - self._adopted_s >= ADOPT_EVERY_S:
                self._adopt(self._adopting)
        self._answered_s = self.clock.monotonic_s()

    def give_up_if_in_vain(self) -> None:
        """End a consumer whose process has moved to another broker, once its own has not answered for ten leases."""
        with self._mutex:
            silent_s = self.clock.monotonic_s() - self._answered_s
            if self._channels or silent_s < GIVEN_UP_LEASES * self.settings.lease_s or not self._has_moved():
                return
            self._ended = True
            self._stopped.set()
        logger.warning("consumer %s is given up after %.0f s without the broker", self.consumer.id, silent_s)
        self.consumer.give_up()

    def _is_renewal_due(self) -> bool:
        return self.clock.monotonic_s() - self._renewed_s >= self.settings.renew_every_s * RENEWAL_DUE

    def _leave(self) -> bool:
        """Send what is owed, and go if nothing is held any more."""
        # The thread's connections are its own, and so are those of who closes the last channel.
        own = threading.get_ident() == self._ident
        with self.consumer.over(self.store) if own else nullcontext():
            self.consumer.flush()
            with self._mutex:
                if self._channels or not self.consumer.close():
                    return False
                self._ended = True
                self._stopped.set()
                return True

    def _renew(self) -> None:
        life, held, completed = self.consumer.snapshot()
        if held:
            self._renewed(life, held, completed, self.store.renew(life, tuple(held)))

    def _renewed(self, life: str, held: dict[str, set[int]], completed: int, renewals: Sequence[Renewal]) -> None:
        """Take up what a renewal says: which leases are gone, and what is in flight that never arrived here."""
        now_s = self.clock.monotonic_s()
        if now_s - self._renewed_s > self.settings.lease_s / 2 and self._renewed_s > 0:
            self.late_count += 1
        self._renewed_s = now_s
        unregistered = [renewal.queue for renewal in renewals if not renewal.registered]
        if any(held[queue] for queue in unregistered) or not self.consumer.register_anew(
            life, unregistered, self.store
        ):
            # What it holds of other queues is still its own.
            self.consumer.lose_on(life, unregistered)
            return
        self.consumer.leave_cancelled(self.store)
        for renewal in renewals:
            if renewal.in_flight > len(held[renewal.queue]):
                count = self.store.reconcile(life, renewal.queue, held[renewal.queue], completed)
                if count:
                    logger.warning("%d messages of queue %r never arrived and went back", count, renewal.queue)

    def _keep_expiring(self, *, renewed: bool) -> None:
        """Queues with ``x-expires`` are in use as long as they are consumed, whether or not anything comes."""
        ttls_ms = self.consumer.interest.ttls_ms()
        if ttls_ms and (renewed or min(ttls_ms.values()) < 3000 * self.settings.renew_every_s):
            self.store.touch(ttls_ms, self.consumer.id)

    def _look(self, ticks: Sequence[Tick], began_s: float) -> None:
        """Return what the dead held: in an order of our own, within bounds, and never at the cost of our own lease."""
        until_s = self.clock.monotonic_s() + LOOK_S
        ends_s = [tick.next_end_s for tick in ticks if tick.next_end_s is not None]
        self._next_end_s = began_s + min(ends_s, default=float("inf"))
        # With nobody else there nobody can die; whoever joins now is alive for a lease.
        self._is_alone = all(tick.consumers <= 1 for tick in ticks)
        self._look_from_s = began_s + self.settings.lease_s * LOOK_ALONE_LEASES if self._is_alone else began_s
        found = [(tick.queue, dead) for tick in ticks for dead in tick.expired]
        self._rng.shuffle(found)
        for queue, dead in found:
            if dead != self.consumer.id:
                self._reap(queue, dead, until_s)

    def _adopt(self, records: StockRecords) -> None:
        """Take over one batch of what stock workers left; what leads to queues of others is left to them."""
        self._adopted_s = self.clock.monotonic_s()
        queues = set(self.consumer.queues)
        adopted = self.store.adopt_unacked(
            lambda _, routing_key: [routing_key] if routing_key in queues else [],
            older_than_s=records.visibility_timeout_s,
            unacked_key=records.key,
            index_key=records.index_key,
        )
        if adopted.adopted:
            logger.warning("%d messages of stock workers past their timeout were taken over", adopted.adopted)

    def _reap(self, queue: str, dead: str, until_s: float) -> None:
        while self.clock.monotonic_s() < until_s:
            if self._is_renewal_due():
                self._renew()
            reap = self.store.reap(queue, dead)
            if reap.reaped:
                self.on_reaped(queue, dead, reap.returned + reap.suspects + reap.dead)
            if reap.dead:
                self.consumer.on_buried()
            if not reap.reaped or not reap.remaining:
                return


def _log_reaped(queue: str, dead: str, count: int) -> None:
    logger.warning("consumer %s is gone: %d messages of queue %r returned", dead, count, queue)
