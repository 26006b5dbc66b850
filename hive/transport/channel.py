"""The channel: kombu's Redis channel, consuming and publishing through hive's scripts."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from kombu.transport import redis as kombu_redis

from hive.store.faults import BrokerGoneError
from hive.store.values import Claim, ClaimStatus, Delivery, DeliveryId, Start
from hive.transport.asking import Ahead
from hive.transport.consumer import Consumer
from hive.transport.message import HiveMessage
from hive.transport.opening import Opening
from hive.transport.publishing import Publishing
from hive.transport.qos import QoS
from hive.transport.waiting import Waiting

#: While tasks wait, a claim is made when this part of what may be held is free, not for every task that ends.
CLAIM_PARTS = 4


class Channel(Waiting, Publishing, Opening):
    """kombu's Redis channel with hive's delivery."""

    QoS = QoS
    Message = HiveMessage
    # Threads of a pool write results at the same time; kombu's ten connections would make some of them fail.
    max_connections = 1_024

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: Whether this is the worker's own channel: the only one that may begin its tasks.
        self.begins_tasks = False
        #: Queues that need not be declared again through this channel.
        self.declared: set[str] = set()
        self._ready: deque[Delivery] = deque()
        self._no_ack: set[str] = set()
        self._may_have_more = True
        self._waits_for_idle = False
        super().__init__(*args, **kwargs)
        if self.connection.polling_interval is None:
            self.brpop_timeout = self.settings.poll_every_s

    def _restore(self, message: Any, leftmost: bool = False) -> None:  # noqa: ARG002 - kombu's name
        """Hand one message back."""
        self.consumer.requeue(message.delivery_tag)

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], consumer_tag: str, **kwargs: Any
    ) -> Any:
        """Begin to consume a queue."""
        (self._no_ack.add if no_ack else self._no_ack.discard)(queue)
        if not no_ack and queue not in self.active_queues:
            self.consumer.interest.want(queue, self._expires.get(queue))
        if queue not in self.active_queues and not self._popping:
            # It waits for tokens of other queues, and what lies in this one would wait with it.
            self.end_wait()
        self._may_have_more = True
        self.connection.delivery_callbacks[queue] = callback
        return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)

    def _basic_cancel(self, consumer_tag: str) -> Any:
        queue = self._tag_to_queue.get(consumer_tag)
        result = super()._basic_cancel(consumer_tag)
        active = set(self.active_queues)
        if queue is not None and queue not in active:
            self.connection.delivery_callbacks.pop(queue, None)
            if self._consumer is not None and queue not in self._no_ack:
                self._consumer.interest.cancel(queue)
        for delivery in [delivery for delivery in self._ready if delivery.id.queue not in active]:
            self._ready.remove(delivery)
            self._give_back(delivery)
        if not active:
            # Nobody reads the reply any more: it would swallow the next token, or a message.
            self.end_wait()
        if self._consumer is not None and self._consumer.owes:
            self.settle_soon()
        return result

    def _give_back(self, delivery: Delivery) -> None:
        """Hand back what was taken and not delivered; what has no record is put where it will be taken next."""
        if delivery.id.token:
            self.consumer.requeue(delivery.id)
            return
        self.store.unpop(delivery.id.queue, delivery.payload)
        self.touch({delivery.id.queue})

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """Return one message of a queue, or None."""
        if no_ack:
            return super().basic_get(queue, no_ack=True, **kwargs)
        claim = self.consumer.claim([queue], 1)
        found = None
        for delivery in self.consumer.adopt(claim, [queue]):
            if found is not None:
                # This repeated a claim of another channel whose reply was lost.
                self._give_back(delivery)
            elif (found := self._open(delivery)) is not None:
                self.qos.append(found, delivery.id)
        return found

    def hand_back(self) -> None:
        """Give back at once what has not started, because the worker stops; what runs stays ours until it ends."""
        while self._ready:
            self._give_back(self._ready.popleft())
        self.qos.restore_unacked()
        _flush(self.consumer)

    def turn(self) -> None:
        """Send what is owed, claim what there is room for and, under an event loop, deliver it."""
        if self.connection.cycle.has_loop:
            self._turn_of_loop()
        else:
            self._settle()
            self._claim()

    def _turn_of_loop(self) -> None:
        claims = self._may_claim()
        if claims or (self._consumer is not None and (self._consumer.is_urgent or self.connection.cycle.is_flush_due)):
            self._claim() if claims else self._settle()
            while self.deliver_one():
                continue
        if self._consumer is not None and self._consumer.is_urgent:
            # Starts of what came just now, and ends of what ran within this turn (a solo pool): not after the poll.
            self._settle()
            if self._consumer.is_urgent:
                self.connection.cycle.nudge()
        if self._may_claim():
            # What came was dealt with before delivery, and left room: no wait begins that would end with more.
            self.connection.cycle.nudge()

    @property
    def _starts(self) -> tuple[Start, ...] | None:
        return None if self.begins_tasks else ()

    def _settle(self) -> None:
        if self._consumer is not None:
            self._consumer.settle(starts=self._starts)
            self._note_idle()

    def _note_idle(self) -> None:
        if self._waits_for_idle and self._consumer is not None and self._consumer.is_idle:
            self._waits_for_idle, self._may_have_more = False, True

    def settle_soon(self) -> None:
        """See that what is owed is sent soon; a channel that lost its connection leaves it to the lease thread."""
        if self._consumer is None:
            return
        if self._consumer.is_eager:
            _flush(self._consumer)
        elif not self._closing and self.connection is not None:
            if not self.connection.cycle.has_loop:
                self._consumer.flush()
            elif self._consumer.arm() or self._consumer.is_urgent:
                self.connection.cycle.nudge()

    def _claimed_queues(self) -> list[str]:
        """Return what to claim from: all queues, in turn; one that woke an idle process is quicker asked alone."""
        if self._woken is not None and self.consumer.is_idle:
            return [self._woken]
        self._all_claimed_s = self.connection.clock.monotonic_s()
        queues = self._queue_cycle.consume(len(self.active_queues))
        return [queue for queue in queues if queue not in self._no_ack]

    def _credit(self) -> int:
        room = self.qos.room()
        if room is None:
            room = self.settings.claim_max_messages if self.connection.cycle.has_loop else 1
        return room - len(self._ready)

    def _claim(self) -> None:
        """Claim a batch, unless a wake token is being waited for or the last claim left nothing behind."""
        if not self._may_claim():
            return
        credit = self._credit()
        popped_count = self._pop_unacknowledged(credit)
        queues = self._claimed_queues()
        if not queues:
            self._may_have_more = popped_count >= credit
            return
        claim = self.consumer.turn(queues, credit, starts=self._starts)
        if claim is not None:
            self._take(claim)
        self._note_idle()

    def _may_claim(self) -> bool:
        if self._in_poll or not self._may_have_more or self._closing or not self.active_queues:
            return False
        credit = self._credit()
        return self._is_worth(credit)

    def _is_worth(self, credit: int) -> bool:
        return credit > 0 and (credit >= self.qos.limit // CLAIM_PARTS or self.consumer.is_starving())

    def _ask_ahead(self, queues: Sequence[str]) -> Ahead | None:
        """Return the claim to send along with a wait, where a loop will read both at once."""
        credit = self._credit()
        if not (self.begins_tasks and self.connection.cycle.has_loop and self._is_worth(credit)):
            return None
        return None if self._no_ack.intersection(queues) else self.consumer.ask_ahead(queues, credit)

    def _take_ahead(self, reply: Any) -> None:
        """Deliver what the claim behind a wait has taken."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._all_claimed_s = self.connection.clock.monotonic_s()
            self._take(self.consumer.take_ahead(ahead, reply))
        while self.deliver_one():
            continue
        self._note_idle()

    def _take(self, claim: Claim) -> None:
        self._may_have_more = claim.more or claim.status in {ClaimStatus.UNREGISTERED, ClaimStatus.LATE}
        self._waits_for_idle = claim.suspects_waiting or claim.status in {ClaimStatus.DRAIN, ClaimStatus.ALONE}
        due_at_s = float("inf") if claim.due_in_s is None else self.connection.clock.monotonic_s() + claim.due_in_s
        self._due_at_s = due_at_s if self._woken is None else min(self._due_at_s, due_at_s)
        wanted = self.consumer.adopt(claim, self.active_queues)
        self._ready.extend(wanted)
        if wanted:
            self._queue_cycle.rotate(wanted[-1].id.queue)
        if self._expires:
            self.touch({delivery.id.queue for delivery in wanted}, self.consumer.id)

    def _pop_unacknowledged(self, credit: int) -> int:
        queues = [queue for queue in self.active_queues if queue in self._no_ack]
        popped = self.store.pop(queues, credit) if queues else ()
        for queue, payload in popped:
            self._ready.append(Delivery(id=DeliveryId(queue=queue, token=0), priority=0, payload=payload))
        return len(popped)

    def deliver_one(self) -> bool:
        """Hand one claimed message to its consumer; false if there is none."""
        while self._ready and not self._closing:
            delivery = self._ready.popleft()
            callback = self.connection.delivery_callbacks.get(delivery.id.queue)
            message = self._open(delivery)
            if message is None:
                continue
            if delivery.id.token:
                self.qos.append(message, delivery.id)
            if callback is not None:
                callback(message)
            elif delivery.id.token:
                self.qos.reject(message.delivery_tag, requeue=True)
            else:
                self._give_back(delivery)
            return True
        return False

    def _purge(self, queue: str) -> int:
        purged = self.store.purge(queue)
        return purged.ready + purged.scheduled + purged.suspects + purged.behind

    def _size(self, queue: str) -> int:
        """Return how many messages may be claimed, those that wait for their key's turn included."""
        return int(super()._size(queue)) + self.store.behind(queue)

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any) -> None:
        super()._delete(queue, exchange, routing_key, pattern, *args, **kwargs)
        self.store.delete_queue(queue)

    def close(self) -> None:
        """Close the channel: what has not started goes back, what runs stays ours."""
        if self.closed:
            return
        # A wait for a token holds no message, so its reply need not be read.
        self._in_poll = None
        self._closing = True
        consumer, process = self._consumer, self.connection.process
        if consumer is not None:
            consumer.hand_back(delivery.id for delivery in self._ready)
        try:
            for delivery in self._ready:
                if not delivery.id.token:
                    self._give_back(delivery)
            self._ready.clear()
            super().close()
        finally:
            self._forgo()
            if consumer is not None:
                _flush(consumer)
                process.leave(consumer)


def _flush(consumer: Consumer) -> None:
    try:
        consumer.flush()
    except BrokerGoneError as error:
        kombu_redis.warning("what is owed to the broker is sent later: %s", error)


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """The same, on a broker that Sentinel watches over."""
