"""Dead letters, and moving a queue out of hive and into it."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hive.store.caller import Caller
from hive.store.faults import translated
from hive.store.keys import FAIR
from hive.store.queue_values import Adopted, Released
from hive.store.values import DeadLetter, Death

RELEASE_MESSAGES = 200
ADOPT_MESSAGES = 100


class Quarantine(Caller):
    """Reads what was set aside, and hands queues over to and from stock Celery."""

    def dead_count(self, queue: str) -> int:
        """Return how many dead letters the queue has."""
        with translated("dead_count"):
            return int(self.client.zcard(self.queue_keys(queue).key("dead")))

    def dead_letters(self, queue: str, offset: int = 0, count: int = 50) -> tuple[DeadLetter, ...]:
        """Return dead letters, oldest first; at most ``count`` from ``offset`` on."""
        names = self.queue_keys(queue)
        with translated("dead_letters"):
            ids = self.client.zrange(names.key("dead"), offset, offset + count - 1)
            if not ids:
                return ()
            records = self.client.hmget(names.key("dead", "records"), ids)
            messages = self.client.hmget(names.key("dead", "messages"), ids)
        return tuple(
            dead_letter(id_.decode(), queue, record, message)
            for id_, record, message in zip(ids, records, messages, strict=True)
            if record is not None and message is not None
        )

    def release_queue(self, queue: str) -> Released:
        """Move one batch of what stock Celery does not see to the ready lists, for a return to it.

        First what dead consumers hold (as a reap would, counting nothing), then suspects, dead letters and everything
        scheduled, whatever its due time. Repeat until ``remaining`` is 0. Stop the queue's workers first.

        Warning:
            Dead letters that are not messages at all go back too, and end a stock consumer: look at them first.
        """
        names = self.queue_keys(queue)
        keys = [
            *names.keys("scheduled", "scheduled:messages", "suspects", "dead", "dead:records", "dead:messages", "wake"),
            *names.keys("counters", "dead:untold", "state", *FAIR, "parked"),
            *names.ready,
        ]
        freed = self._release_dead_consumers(queue)
        scheduled, suspects, dead, remaining, behind = self.call(
            "release_queue", keys, RELEASE_MESSAGES, *self.layout.priority_steps
        )
        return Released(
            in_flight=freed[0],
            scheduled=scheduled,
            suspects=suspects,
            dead=dead,
            behind=behind,
            remaining=remaining + freed[1],
        )

    def _release_dead_consumers(self, queue: str) -> tuple[int, int]:
        names = self.queue_keys(queue)
        with translated("release_queue"):
            consumers = self.client.zrange(names.key("consumers"), 0, 99)
        moved = remaining = 0
        for consumer in (name.decode() for name in consumers):
            keys = [
                *names.keys("consumers", "consumers:info", "wake"),
                *names.of_consumer(consumer),
                *names.ready,
            ]
            went, left = self.call(
                "release_consumer",
                keys,
                self.now_argument(),
                consumer,
                RELEASE_MESSAGES,
                *self.layout.priority_steps,
            )
            moved, remaining = moved + went, remaining + left
        return moved, remaining

    def adopt_unacked(
        self,
        lookup: Callable[[str, str], Sequence[str]],
        *,
        older_than_s: float,
        unacked_key: str = "unacked",
        index_key: str = "unacked_index",
        offset: int = 0,
    ) -> Adopted:
        """Take over one batch of messages that a stock worker left unacknowledged, into the ready lists.

        Each message moves in one step and only if its record is still the one that was read, so stock workers may
        restore theirs at the same time. Repeat until ``remaining`` is 0.

        Args:
            lookup: gives the queues an (exchange, routing key) leads to; with none the message is left where it is.
            older_than_s: the stock workers' visibility timeout; 0 takes everything, when none of them runs.
            unacked_key: kombu's ``unacked_key``, without prefix.
            index_key: kombu's ``unacked_index_key``, without prefix.
            offset: how many of the oldest to pass over, those ``left`` by earlier batches.
        """
        unacked, index = self.layout.prefix + unacked_key, self.layout.prefix + index_key
        with translated("adopt_unacked"):
            seconds, microseconds = self.client.time()
            limit = seconds + microseconds / 1e6 - older_than_s
            tags = self.client.zrangebyscore(index, "-inf", limit, start=offset, num=ADOPT_MESSAGES)
            total = int(self.client.zcount(index, "-inf", limit))
            records = self.client.hmget(unacked, tags) if tags else []
        adopted, left = 0, []
        for tag, record in zip(tags, records, strict=True):
            targets = _restored(record, lookup) if record is not None else None
            if targets is None:
                left.append(tag.decode(errors="replace"))
                continue
            queues, priority, payload = targets
            step = self.layout.step(priority)
            lists = [self.queue_keys(queue).ready[step] for queue in queues]
            wakes = [self.queue_keys(queue).key("wake") for queue in queues]
            adopted += int(self.call("adopt", [unacked, index, *lists, *wakes], tag, record, payload, len(queues)))
        return Adopted(adopted=adopted, left=tuple(left), remaining=max(total - offset - len(tags), 0))


def dead_letter(id_: str, queue: str, record: bytes, message: bytes) -> DeadLetter:
    """Return a dead letter as it stands on the broker."""
    fields: dict[str, Any] = json.loads(record.decode(errors="replace"))
    priority, _, payload = message.partition(b":")
    history = tuple(
        Death(consumer=death["consumer"], worker=death.get("worker", ""), at_ms=int(death["at_ms"]), how=death["how"])
        for death in fields.get("history") or ()
    )
    return DeadLetter(
        id=id_,
        queue=queue,
        priority=int(priority),
        message_id=None if fields["message_id"].startswith("digest:") else fields["message_id"] or None,
        reason=fields["reason"],
        cause=fields["cause"],
        at_ms=int(fields["at_ms"]),
        history=history,
        payload=payload,
        traceback=fields.get("traceback") or "",
        redriven=int(fields.get("redriven") or 0),
        edited_at_ms=int(fields["edited_at_ms"]) if fields.get("edited_at_ms") else None,
        record=record,
    )


def _restored(record: bytes, lookup: Callable[[str, str], Sequence[str]]) -> tuple[Sequence[str], int, bytes] | None:
    """Return queues, priority and envelope of a stock record, marked redelivered as stock would; ``None``: unreadable."""
    try:
        message, exchange, routing_key = json.loads(record)
        properties = message.setdefault("properties", {})
        message.setdefault("headers", {})["redelivered"] = True
        properties.setdefault("delivery_info", {})["redelivered"] = True
        priority = int(properties.get("priority") or properties["delivery_info"].get("priority") or 0)
    except (ValueError, TypeError, AttributeError):
        return None
    queues = list(lookup(exchange, routing_key))
    return (queues, priority, json.dumps(message).encode()) if queues else None
