"""What a consumer holds, and what is owed of it: how each delivery ends is noted here and sent later."""

import logging
from collections.abc import Callable, Iterable, Sequence

from hive.guards.guard import AgentWait
from hive.store.condemned import Condemned
from hive.store.turn import Fair
from hive.store.values import Claim, Delivery, DeliveryId, Outcome, Started
from hive.transport.held import Held
from hive.transport.outbox import Outbox

logger = logging.getLogger(__name__)


class Holding:
    """The deliveries of one life of a consumer; of one that it does not hold, nothing is noted and nothing begins."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        #: Set when the worker ends: what still runs (in threads, which cannot be ended). All else goes back, uncounted.
        self.still_running: frozenset[DeliveryId] | None = None
        self.refused_count = 0
        self._held: dict[DeliveryId, Held] = {}

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing at all, so that it may take a suspect."""
        return not self._held

    def holds(self, delivery: DeliveryId) -> bool:
        """Whether a delivery is still ours, as far as we know."""
        return delivery in self._held

    def is_redelivered(self, delivery: DeliveryId) -> bool:
        """Whether a delivery's message was started before; false if it is not ours."""
        held = self._held.get(delivery)
        return held is not None and held.is_redelivered

    def finish(self, delivery: DeliveryId) -> None:
        """Note that a message has ended; the next settling says so to the broker."""
        if self._expects("acknowledgement", delivery):
            self.outbox.finish(delivery)

    def requeue(self, delivery: DeliveryId) -> None:
        """Note that a message goes back to ready, uncounted."""
        if self._expects("requeue", delivery):
            self.outbox.requeue(delivery)

    def put_last(self, delivery: DeliveryId) -> None:
        """Note that a message goes back behind all others, uncounted, because its task asked for it."""
        if self._expects("requeue", delivery):
            self.outbox.put_last(delivery)

    def died(self, delivery: DeliveryId, how: str) -> None:
        """Note that a pool child was lost under a started message; one death is counted."""
        if self._expects("death", delivery):
            self.outbox.died(delivery, how)

    def dead_letter(self, condemned: Condemned) -> None:
        """Note that a message can never succeed and is to be set aside with its raw bytes."""
        delivery = condemned.id
        if self._expects("dead letter", delivery):
            self.outbox.dead_letter(condemned)

    def postpone(self, condemned: Condemned, grace_s: float, look_s: float, on_over: Callable[[], None]) -> None:
        """Note that a message waits for a worker that knows its task; ``on_over`` is called if it is set aside instead."""
        if self._expects("postponement", condemned.id):
            self.outbox.postpone(condemned, grace_s, look_s, on_over)

    def reschedule(self, delivery: DeliveryId, message_id: str, due_ms: int, fair: Fair | None = None) -> None:
        """Note that a message waits on the broker until ``due_ms``, and for its key's turn then."""
        if self._expects("reschedule", delivery):
            self.outbox.reschedule(delivery, message_id, due_ms, fair)

    def wait_for_agent(self, delivery: DeliveryId, message_id: str, wait: AgentWait, fair: Fair | None = None) -> None:
        """Note that a message waits on the broker until its agent is awake, and for its key's turn then."""
        if self._expects("wait for an agent", delivery):
            self.outbox.wait_for_agent(delivery, message_id, wait, fair)

    def hand_back(self, deliveries: Iterable[DeliveryId]) -> list[DeliveryId]:
        """Note that deliveries go back to ready, uncounted; those that run stay ours.

        Returns:
            Those that go back.
        """
        chosen = [
            delivery
            for delivery in deliveries
            if (held := self._held.get(delivery)) is not None and not self._runs(delivery, held)
        ]
        for delivery in chosen:
            self.outbox.requeue(delivery)
        return chosen

    def _runs(self, delivery: DeliveryId, held: Held) -> bool:
        return held.started if self.still_running is None else delivery in self.still_running

    def adopt(self, claim: Claim, wanted: Iterable[str]) -> list[Delivery]:
        """Return the deliveries of a claim for the queues still wanted; the others go back."""
        queues = set(wanted)
        for delivery in claim.deliveries:
            if delivery.id.queue not in queues:
                self.outbox.requeue(delivery.id)
        return [delivery for delivery in claim.deliveries if delivery.id.queue in queues]

    def _note_start(self, started: Started) -> Outcome:
        held = self._held.get(started.id)
        if held is None:
            # The lease was found gone while the reply was under way.
            return Outcome.STALE
        if started.outcome is Outcome.DONE:
            held.started, held.is_redelivered = True, started.deaths > 0 or started.put_back
        else:
            self._refused("start", started.id)
            self._held.pop(started.id, None)
        return started.outcome

    def _settled(self, what: str, ended: Sequence[DeliveryId], outcomes: Sequence[Outcome]) -> None:
        for delivery, outcome in zip(ended, outcomes, strict=True):
            if outcome is Outcome.STALE:
                self._refused(what, delivery)
            self._held.pop(delivery, None)

    def _expects(self, what: str, delivery: DeliveryId) -> bool:
        if delivery in self._held:
            return True
        self._refused(what, delivery)
        return False

    def _refused(self, what: str, delivery: DeliveryId) -> None:
        self.refused_count += 1
        logger.warning("%s of delivery %d from queue %r refused: it is no longer ours", what, *_named(delivery))


def _named(delivery: DeliveryId) -> tuple[int, str]:
    return delivery.token, delivery.queue
