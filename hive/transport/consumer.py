"""The consumer: one life of a worker process on one broker, and all it holds there."""

import logging
import os
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hive.errors import BrokerError
from hive.store.faults import BeingReapedError
from hive.store.pipelining import Pipeline
from hive.store.store import Store
from hive.store.values import Claim, ClaimStatus, ConsumerInfo, DeliveryId, Outcome, Start, Started
from hive.transport.asking import Ahead, Asking
from hive.transport.held import Asked, Held
from hive.transport.holding import Holding
from hive.transport.interest import Interest
from hive.transport.rescheduled import Rescheduled

logger = logging.getLogger(__name__)

#: Acknowledgements that are sent without waiting for more.
FLUSH_COUNT = 64


class Consumer(Holding):
    """Claims messages and answers for them, over any number of channels and reconnects.

    Steps of a delivery are noted in an outbox and sent by :meth:`settle`, many in one round trip; what could not be sent
    stays there and is sent after the reconnect. May be used by several threads.

    Args:
        store: the broker; its client is used by whoever calls.
        info: says who the worker is.
    """

    def __init__(self, store: Store, info: Callable[[], ConsumerInfo]) -> None:
        super().__init__()
        self.store = store
        #: Which queues its channels consume.
        self.interest = Interest()
        #: Which messages it has made wait for their eta.
        self.rescheduled = Rescheduled()
        self._pipeline = Pipeline(store)
        self.pid = os.getpid()
        self.id = uuid.uuid4().hex
        #: Asked at each turn which tasks are to start, and told which may.
        self.starts_due: Callable[[], Sequence[Start]] = list
        self.has_starts: Callable[[], bool] = bool
        #: Told that no start it was asked for is on record, because the broker did not answer.
        self.on_starts_failed: Callable[[], None] = _nobody
        #: Asked whether the pool will soon have nothing to do, so that even a small claim is worth its round trip.
        self.is_starving: Callable[[], bool] = _always
        self.on_started: Callable[[dict[DeliveryId, Outcome]], None] = _ignore_started
        #: Told which deliveries were lost with the lease, in the thread that noticed.
        self.on_lost: Callable[[list[DeliveryId]], None] = _ignore_lost
        #: Told that a message of its may have become a dead letter, once the broker knows.
        self.on_buried: Callable[[], None] = _nobody
        #: Whether tasks run in this process, so that a decoded message can be handed to them.
        self.shares_memory = False
        #: Asked whether the lease was renewed so lately that nothing can have been given to another meanwhile.
        self.has_fresh_lease: Callable[[], bool] = bool
        #: Whether a task that is told to begin returns at once, so that the reply to its start is read meanwhile.
        self.begins_early = False
        #: Whether acknowledgements are sent at once, because no event loop comes round any more.
        self.is_eager = False
        self._info = info
        self._queues: dict[str, int] = {}
        self._asking = Asking()
        #: Tasks that began while the record of their start was under way, until the reply has come.
        self._unrecorded: dict[DeliveryId, Start] = {}
        self._is_armed = False
        self._mutex = threading.RLock()
        self._sending = threading.RLock()

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues on which it is registered."""
        return tuple(self._queues)

    @property
    def is_urgent(self) -> bool:
        """Whether the broker is to be told at once: much is owed, or a task waits for its start to be recorded."""
        return len(self.outbox) >= FLUSH_COUNT or self.has_starts()

    @property
    def owes(self) -> bool:
        """Whether the broker is to be told anything."""
        return bool(self.outbox or self._asking.forgone)

    def arm(self) -> bool:
        """Whether this is the first thing owed since the last flush, so that somebody must see to the next one."""
        first, self._is_armed = not self._is_armed, True
        return first

    def claim(self, queues: Sequence[str], credit: int) -> Claim:
        """Take up to ``credit`` messages; registers on queues it sees for the first time.

        Raises:
            BrokerGoneError: no reply; the next claim repeats this one first.
        """
        claim = self.turn(queues, credit, starts=())
        return claim or Claim(status=ClaimStatus.TAKEN)

    def turn(self, queues: Sequence[str], credit: int, *, starts: Sequence[Start] | None = None) -> Claim | None:
        """Send what is owed, record and begin the starts that are due, and claim; in one round trip.

        Args:
            queues: to claim from, in the order of this turn.
            credit: messages to take at most; 0: no claim.
            starts: to record, instead of those that are due.

        Returns:
            The claim, if there was one.

        Raises:
            BrokerGoneError: no reply; what was not confirmed stays in the outbox, and the next claim repeats this one.
        """
        with self._sending:
            self._return_forgone()
            self._send_single()
            self._is_armed = False
            ended, condemned = self.outbox.acknowledgements(), self.outbox.condemned()
            wanted = self.starts_due() if starts is None else starts
            due = [start for start in (*self._unrecorded.values(), *wanted) if start.id in self._held]
            is_idle = not due and len(self._held) == len(ended) + len(condemned)
            asked = self._ask(queues, credit, idle=is_idle) if credit > 0 else None
            me = self.id
            steps: tuple[Callable[[Store], Any], ...] = (
                lambda store: store.finish(me, ended),
                lambda store: store.set_aside(me, condemned),
                lambda store: store.start(me, due),
                lambda store: _claim(store, me, asked),
            )
            try:
                outcomes, buried, started, claim = self._pipeline.run(steps, lambda: self._begin_early(due))
            except BrokerError:
                if wanted:
                    self.on_starts_failed()
                raise
            self._settled("acknowledgement", ended, outcomes)
            self.outbox.acknowledged(len(ended))
            if condemned:
                self._settled("dead letter", [one.id for one in condemned], buried)
                self.outbox.buried(condemned)
                self.on_buried()
            if wanted or self._unrecorded:
                self._note_starts(wanted, started)
            return self._take(me, asked, claim) if asked is not None else None

    def _ask(self, queues: Sequence[str], credit: int, *, idle: bool) -> Asked | None:
        lost = self._asking.asked
        if not self._register(lost.queues if lost else queues):
            return None
        return self._asking.ask(queues, credit, idle=idle)

    def _begin_early(self, due: Sequence[Start]) -> None:
        """Let tasks begin while the record of their start is under way; the broker has it even if they end this process.

        Not where the reply decides something: what its message did before, or whose it is by now.
        """
        if not self.begins_early or not self.has_fresh_lease():
            return
        early = {}
        for start in due:
            held = self._held.get(start.id)
            if held is not None and held.is_clean and not held.started:
                held.started, early[start.id] = True, start
        if early:
            self._unrecorded.update(early)
            self.on_started(dict.fromkeys(early, Outcome.DONE))

    def _note_starts(self, wanted: Sequence[Start], started: Sequence[Started]) -> None:
        noted = {start.id: Outcome.STALE for start in wanted if start.id not in self._unrecorded}
        lost = []
        for one in started:
            if one.id not in self._unrecorded:
                noted[one.id] = self._note_start(one)
            elif one.outcome is Outcome.STALE and self._held.pop(one.id, None) is not None:
                # It may have ended by now (ALREADY); stale means that it runs elsewhere.
                self._refused("start", one.id)
                lost.append(one.id)
        self._unrecorded.clear()
        if wanted:
            self.on_started(noted)
        if lost:
            self.on_lost(lost)

    def ask_ahead(self, queues: Sequence[str], credit: int) -> Ahead | None:
        """Return a claim to be sent along with a wait for a token, so that both are answered at once.

        Its reply goes to :meth:`take_ahead`; if it will not be read, the claim is to be given to :meth:`forgo`.

        Args:
            queues: to claim from, in the order of this turn.
            credit: messages to take at most, at least one.

        Returns:
            The claim; None if it can only be asked for once the wait has ended.
        """
        with self._sending:
            if not self._queues.keys() >= set(queues):
                return None
            me, asked = self.id, self._asking.ask_ahead(queues, credit, idle=self.is_idle)
            if asked is None:
                return None
            return Ahead(asked=asked, call=self._pipeline.prepare(lambda store: _claim(store, me, asked)))

    def take_ahead(self, ahead: Ahead, reply: Any) -> Claim:
        """Take what a claim behind a wait came to."""
        with self._sending:
            return self._take(self.id, ahead.asked, ahead.call.result(reply))

    def forgo(self, ahead: Ahead) -> None:
        """Give up a claim behind a wait whose connection was ended; what it took goes back with the next word to the broker."""
        with self._mutex:
            self._asking.forgo(ahead.asked)

    def _return_forgone(self) -> None:
        asking = self._asking
        for queue in asking.forgone:
            life, held, completed = self.snapshot()
            self.store.reconcile(life, queue, held.get(queue, set()), completed)
            asking.forgone -= {queue}

    def _take(self, me: str, asked: Asked, claim: Claim) -> Claim:
        with self._mutex:
            if me != self.id or not self._asking.answered(asked):
                # The lease thread found the lease gone while the reply was under way.
                return Claim(status=ClaimStatus.UNREGISTERED)
            if claim.status is not ClaimStatus.UNREGISTERED:
                return self._alone(claim)
        renewals = self.store.renew(me, self.queues)
        self.lose_on(me, [renewal.queue for renewal in renewals if not renewal.registered])
        return claim

    def _alone(self, claim: Claim) -> Claim:
        """Hold what a claim took; a suspect goes back if something else was taken since it was asked for."""
        if self._held and any(delivery.suspect for delivery in claim.deliveries):
            for delivery in claim.deliveries:
                self.outbox.requeue(delivery.id)
            return Claim(status=ClaimStatus.TAKEN, suspects_waiting=True)
        self._held.update((delivery.id, Held(is_clean=claim.is_clean)) for delivery in claim.deliveries)
        return claim

    def _register(self, queues: Iterable[str]) -> bool:
        """See that it is registered on queues; false while what it held of one is still being taken away."""
        missing = [queue for queue in queues if queue not in self._queues]
        if not missing:
            return True
        try:
            for registration in self.store.register(self.id, missing, self._info()):
                self._queues[registration.queue] = registration.epoch
        except BeingReapedError:
            return False
        return True

    def leave_cancelled(self, store: Store) -> None:
        """Unregister from queues that nobody here consumes any more and of which nothing is held.

        Does nothing while the broker is being told something; the next renewal asks again.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        if not self.interest.cancelled or not self._sending.acquire(blocking=False):
            return
        try:
            held = {delivery.queue for delivery in tuple(self._held)} | self._asking.queues
            for queue in self.interest.cancelled - held:
                if queue not in self._queues or not store.unregister(self.id, [queue]):
                    self._queues.pop(queue, None)
                    self.interest.left(queue)
        finally:
            self._sending.release()

    def register_anew(self, life: str, queues: Sequence[str], store: Store) -> bool:
        """Register again where the broker forgot us and nothing of ours was; false if it is taking our things away.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        try:
            store.register(life, queues, self._info())
        except BeingReapedError:
            return False
        return True

    @contextmanager
    def over(self, store: Store) -> Iterator[None]:
        """Tell the broker everything over another store within the block: a thread has connections of its own."""
        with self._sending:
            before = self.store, self._pipeline
            self.store, self._pipeline = store, Pipeline(store)
            try:
                yield
            finally:
                self.store, self._pipeline = before

    def settle(self, *, starts: Sequence[Start] | None = None) -> None:
        """Send what is owed to the broker, and record and begin starts: those that are due if none are given.

        Raises:
            BrokerGoneError: no reply; what was not confirmed stays in the outbox.
        """
        self.turn((), 0, starts=starts)

    def flush(self) -> None:
        """Send all that is owed to the broker and nothing else.

        Raises:
            BrokerGoneError: no reply; what was not confirmed stays in the outbox.
        """
        with self._sending:
            self._return_forgone()
            while self.outbox:
                self.turn((), 0, starts=())

    def start(self, start: Start) -> Outcome:
        """Record one start at once, and say whether the body may run."""
        with self._sending:
            if start.id not in self._held:
                return Outcome.STALE
            return self._note_start(self.store.start(self.id, [start])[0])

    def _send_single(self) -> None:
        for step in self.outbox.steps():
            for delivery, outcome in step.send(self.store, self.id).items():
                if outcome is Outcome.STALE:
                    self._refused(step.word, delivery)
                self._held.pop(delivery, None)
            self.outbox.done(step)
            if step.word in {"death", "postponement"}:
                self.on_buried()

    def snapshot(self) -> tuple[str, dict[str, set[int]], int]:
        """Return the id, the tokens held by queue, and the last claim whose reply has arrived, all of one instant."""
        with self._mutex:
            tokens: dict[str, set[int]] = {queue: set() for queue in self._queues}
            for delivery in tuple(self._held):
                tokens.setdefault(delivery.queue, set()).add(delivery.token)
            return self.id, tokens, self._asking.completed

    def lose(self, life: str) -> None:
        """Drop what was held in a life, because its lease is gone, and begin another under a fresh id.

        Does nothing if that life has ended already.
        """
        with self._mutex:
            if life != self.id:
                return
            lost, self._held = list(self._held), {}
            self.id = uuid.uuid4().hex
            self._queues = {}
            self._asking = Asking()
            self._unrecorded = {}
            self.outbox.clear()
        logger.warning("lease lost: %d deliveries are another worker's now", len(lost))
        self.on_lost(lost)

    def lose_on(self, life: str, queues: Collection[str]) -> None:
        """Drop what was held of some queues, because the lease there is gone; if that is all of them, the life ends."""
        with self._mutex:
            if life != self.id or not queues:
                return
            is_all = set(queues) >= set(self._queues)
            lost = [] if is_all else [delivery for delivery in self._held if delivery.queue in queues]
            for delivery in lost:
                del self._held[delivery]
            for queue in () if is_all else queues:
                self._queues.pop(queue, None)
        if is_all:
            self.lose(life)
            return
        logger.warning("lease lost on %s: %d deliveries are another worker's now", ", ".join(queues), len(lost))
        self.on_lost(lost)

    def give_up(self) -> None:
        """Drop everything that is held or owed: the broker is gone for good."""
        with self._mutex:
            owed, held, self._held = len(self.outbox), len(self._held), {}
            self.outbox.clear()
        logger.warning(
            "consumer %s never told the broker of %d steps and still held %d deliveries", self.id, owed, held
        )

    def close(self) -> bool:
        """Settle and unregister if nothing is held any more.

        Returns:
            Whether it is gone; if not, its lease must be kept until what runs has ended.
        """
        with self._sending:
            self.flush()
            if self._held:
                return False
            self.store.unregister(self.id, self.queues)
            self._queues = {}
            return True


def _ignore_started(_: dict[DeliveryId, Outcome]) -> None:
    """Nobody asked for starts, so nobody is told."""


def _nobody() -> None:
    """A plain kombu consumer asks for no starts and looks after no dead letters."""


def _claim(store: Store, consumer: str, asked: Asked | None) -> Claim | None:
    if asked is None:
        return None
    return store.claim(consumer, asked.queues, sequence=asked.sequence, credit=asked.credit, idle=asked.idle)


def _always() -> bool:
    return True


def _ignore_lost(_: list[DeliveryId]) -> None:
    """A plain kombu consumer learns of it by its refused acknowledgement."""
