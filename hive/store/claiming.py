"""A consumer's life: register, claim, renew, compare, unregister."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from hive.errors import BrokerRefusedError
from hive.store.caller import Caller
from hive.store.faults import BeingReapedError
from hive.store.keys import FAIR, FORMAT_VERSION, distinct
from hive.store.lane import LongLane
from hive.store.values import Claim, ClaimStatus, ConsumerInfo, Delivery, DeliveryId, Registration, Renewal

PROMOTE_LIMIT = 200
RECONCILE_MESSAGES = 500

_STATUS = {
    1: ClaimStatus.TAKEN,
    2: ClaimStatus.DRAIN,
    3: ClaimStatus.ALONE,
    -1: ClaimStatus.UNREGISTERED,
    -2: ClaimStatus.LATE,
}


class Claiming(Caller):
    """What a consumer does for its lease and its batches.

    A consumer is one start of a worker process; its id must be fresh for each registration of a new life, because an
    old (consumer, token) pair must never name a new delivery.
    """

    def register(self, consumer: str, queues: Sequence[str], info: ConsumerInfo) -> tuple[Registration, ...]:
        """Register a consumer on queues, each with a lease that begins now. A repeat renews it.

        Raises:
            BrokerRefusedError: the data on the broker has a newer format than this release knows.
            BeingReapedError: what the consumer held is being taken away; wait for its end, or take a fresh id.
            BrokerGoneError: no reply; it may have been registered.
        """
        wanted = distinct(queues)
        # Its own term, so that whoever extends all leases after a gap extends this one by as much.
        described = json.dumps({**asdict(info), "lease_ms": self.lease_ms})
        registrations = []
        for queue in wanted:
            keys = self.queue_keys(queue).keys("state", "consumers", "consumers:info")
            code, value = self.call(
                "register",
                keys,
                self.now_argument(),
                self.run_id_argument(),
                consumer,
                self.lease_ms,
                described,
                min(self.settings.wire_version, FORMAT_VERSION),
                FORMAT_VERSION,
            )
            if code == -1:
                raise BrokerRefusedError(
                    f"queue {queue!r} is kept in format {value}, this release knows up to {FORMAT_VERSION}: "
                    "upgrade this worker, or set delivery.wire_version lower while old workers run"
                )
            if code == 0:
                raise BeingReapedError(f"consumer {consumer} lost its lease on {queue!r}: register with a fresh id")
            registrations.append(Registration(queue=queue, epoch=int(value)))
        return tuple(registrations)

    def claim(self, consumer: str, queues: Sequence[str], *, sequence: int, credit: int, idle: bool = False) -> Claim:
        """Take up to ``credit`` messages of several queues in one step, in kombu's order.

        The order is priority step by step over all queues as given (rotate them for fairness), oldest first. At most
        ``claim_max_messages`` and about ``claim_max_bytes`` are taken, but always one if there is one. Scheduled
        messages that are due are made ready first. The same call with the same ``sequence`` returns the same batch,
        less what has ended since; use a higher one for every new claim.

        Args:
            consumer: registered on all the queues.
            queues: in the order of this turn.
            sequence: number of the claim, counted up by the consumer from 1.
            credit: how many messages the worker has room for.
            idle: the worker process holds nothing at all, so that it may take a suspect (and then only that).

        Raises:
            BrokerGoneError: no reply; claim again with the same sequence.
        """
        wanted = distinct(queues)
        credit = min(credit, self.settings.claim_max_messages)
        if credit <= 0 or not wanted:
            return Claim(status=ClaimStatus.TAKEN)
        lanes = self._lanes_of(wanted)
        reply = self.call(
            "claim",
            self._claim_keys(consumer, wanted, lanes),
            self.now_argument(),
            self.run_id_argument(),
            consumer,
            sequence,
            credit,
            self.settings.claim_max_bytes,
            int(idle),
            self.lease_ms,
            PROMOTE_LIMIT,
            len(self.layout.priority_steps),
            *self.layout.priority_steps,
            *(bound for _, _, bound in lanes),
        )
        return self._claim(wanted, reply)

    def _claim_keys(self, consumer: str, queues: list[str], lanes: list[tuple[str, str, int]]) -> list[str]:
        keys: list[str] = []
        for place, queue in enumerate(queues):
            names = self.queue_keys(queue)
            keys += names.keys(
                "state", "consumers", "scheduled", "scheduled:messages", "wake", "suspects", "counters",
                f"inflight:{consumer}", f"claimed:{consumer}", *FAIR,
            )  # fmt: skip
            keys += names.ready
            if lanes:
                own, other, _ = lanes[place]
                keys += names.lane(own) + names.lane(other)
            keys.append(names.key("deaths"))
        return keys

    def _lanes_of(self, queues: list[str]) -> list[tuple[str, str, int]]:
        """Return for each queue whose lane is taken from, whose is stolen from, and how much that is left; -1: no theft."""
        lanes = self.served_lanes
        worker, long = (lanes.worker, lanes.long) if lanes is not None else ("", {})
        if not worker:
            return []
        if long and lanes is not None and not lanes.has_room():
            long = {}
        none = LongLane(worker=worker, bound=-1)
        return [(worker, (other := long.get(queue, none)).worker, other.bound) for queue in queues]

    def _claim(self, queues: list[str], reply: list[Any]) -> Claim:
        status, more, waiting, due_in_ms, is_clean, *flat = reply
        deliveries = [
            _delivery(queues[flat[place] - 1], flat[place + 1], flat[place + 2]) for place in range(0, len(flat), 3)
        ]
        # A repeated claim is read back queue by queue: sorting gives it the order of the first one.
        turn = {queue: place for place, queue in enumerate(queues)}
        deliveries.sort(key=lambda one: (self.layout.step(one.priority), turn[one.id.queue], one.id.token))
        return Claim(
            status=_STATUS[status],
            deliveries=tuple(deliveries),
            more=bool(more),
            suspects_waiting=bool(waiting),
            due_in_s=due_in_ms / 1000 if due_in_ms >= 0 else None,
            is_clean=bool(is_clean),
        )

    def renew(self, consumer: str, queues: Sequence[str]) -> tuple[Renewal, ...]:
        """Extend the consumer's lease on all queues by one term from now, and make due scheduled messages ready.

        Safe to repeat. A lease that ended but has not been reaped is revived: nobody else has been given anything.

        Raises:
            BrokerGoneError: no reply; the leases may have been extended.
        """
        wanted = distinct(queues)
        keys: list[str] = []
        for queue in wanted:
            names = self.queue_keys(queue)
            keys += names.keys("consumers", "scheduled", "scheduled:messages", "wake", "counters")
            keys += [names.key("inflight", consumer), *names.keys("suspects", "state", *FAIR), *names.ready]
        reply = self.call(
            "renew", keys, self.now_argument(), consumer, self.lease_ms, PROMOTE_LIMIT, *self.layout.priority_steps
        )
        return tuple(
            Renewal(queue=queue, registered=bool(registered), in_flight=in_flight, promoted=promoted)
            for queue, (registered, in_flight, promoted) in zip(wanted, reply, strict=True)
        )

    def reconcile(self, consumer: str, queue: str, held: Collection[int], completed_sequence: int) -> int:
        """Hand back, uncounted, what the broker has in flight for the consumer and the worker never saw.

        Only claims up to ``completed_sequence``, whose reply has arrived, are looked at. Safe to repeat.

        Args:
            consumer: the consumer.
            queue: one of its queues.
            held: tokens the worker knows of, including those whose acknowledgement is under way.
            completed_sequence: the last claim whose reply the worker has processed.

        Returns:
            How many went back, at most 500; call again if it was that many.
        """
        names = self.queue_keys(queue)
        keys = [*names.keys("consumers", "wake", "suspects"), *names.of_consumer(consumer)[:2], *names.ready]
        steps = self.layout.priority_steps
        return int(
            self.call("reconcile", keys, consumer, completed_sequence, RECONCILE_MESSAGES, len(steps), *steps, *held)
        )

    def unregister(self, consumer: str, queues: Sequence[str]) -> int:
        """End a consumer that holds nothing; call it last. A repeat does nothing.

        Returns:
            How many messages it still holds; if not 0 it stays registered where it holds them, and its lease runs out.
        """
        held = 0
        for queue in distinct(queues):
            names = self.queue_keys(queue)
            keys = [*names.keys("consumers", "consumers:info"), *names.of_consumer(consumer)]
            held += int(self.call("unregister", keys, consumer))
        return held


def _delivery(queue: str, token: bytes, record: bytes) -> Delivery:
    """Read one record of the in-flight hash, ``<priority>[!]:<sequence>:<envelope>``."""
    priority, _, payload = record.split(b":", 2)
    return Delivery(
        id=DeliveryId(queue=queue, token=int(token)),
        priority=int(priority.rstrip(b"!")),
        payload=payload,
        suspect=priority.endswith(b"!"),
    )
