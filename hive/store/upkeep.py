"""Looking at queues and looking after them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields

from hive.store.faults import translated
from hive.store.keys import FAIR, distinct
from hive.store.lanes import Lanes
from hive.store.queue_values import Purged, QueueStats, ScheduledMessage
from hive.store.values import ConsumerInfo, ConsumerRecord

#: What ends with a queue with ``x-expires``, besides its ready lists.
_ENDING = (
    "scheduled", "scheduled:messages", "wake", "published:0", "published:1", "deaths", "deaths:expiry", "suspects",
    "dead", "dead:records", "dead:messages", "dead:untold", "graces", "parked",
    "unique", "unique:expiry", *FAIR,
)  # fmt: skip

#: What is there for those who consume it, and ends by their leases.
_OF_ITS_CONSUMERS = ("state", "counters", "consumers", "consumers:info")

#: How much longer than the queue: nobody who consumes it is away for a day and finds his lease alive.
HELD_KEPT_MS = 86_400_000


class Upkeep(Lanes):
    """Figures, and the operations on whole queues."""

    def stats(self, queue: str) -> QueueStats:
        """Return the figures of a queue, in two round trips; nothing is changed."""
        names = self.queue_keys(queue)
        records = self.consumers(queue)
        with translated("stats"), self.client.pipeline(transaction=False) as pipeline:
            for key in names.ready:
                pipeline.llen(key)
            pipeline.zcard(names.key("scheduled"))
            pipeline.llen(names.key("suspects"))
            pipeline.zcard(names.key("dead"))
            pipeline.hgetall(names.key("counters"))
            pipeline.hget(names.key("state"), "epoch")
            pipeline.zcard(names.key("fair"))
            pipeline.xrange(names.key("fair", "messages"), count=1)
            for key in names.ready:
                pipeline.lindex(key, -1)
            reply = pipeline.execute()
        steps = len(names.ready)
        scheduled, suspects, dead, counters, epoch, behind, first = reply[steps : steps + 7]
        return QueueStats(
            queue=queue,
            ready=dict(zip(self.layout.priority_steps, reply[:steps], strict=True)),
            scheduled=scheduled,
            suspects=suspects,
            in_flight=sum(record.in_flight for record in records),
            started=sum(record.started for record in records),
            dead=dead,
            consumers=len(records),
            counters={name.decode(): int(total) for name, total in counters.items()},
            oldest=next((payload for payload in reply[steps + 7 :] if payload is not None), None),
            epoch=int(epoch or 0),
            behind=behind,
            oldest_behind=first[0][1][b"envelope"] if first else None,
        )

    def consumers(self, queue: str) -> tuple[ConsumerRecord, ...]:
        """Return the registered consumers of a queue and how much each holds."""
        names = self.queue_keys(queue)
        with translated("consumers"):
            leases = self.client.zrange(names.key("consumers"), 0, -1, withscores=True)
            if not leases:
                return ()
            with self.client.pipeline(transaction=False) as pipeline:
                for consumer, _ in leases:
                    in_flight, started, _ = names.of_consumer(consumer.decode())
                    pipeline.hlen(in_flight)
                    pipeline.hlen(started)
                    pipeline.hget(names.key("consumers", "info"), consumer)
                reply = pipeline.execute()
        return tuple(
            ConsumerRecord(
                consumer=consumer.decode(),
                lease_end_ms=int(lease_end_ms),
                info=_described(reply[3 * place + 2]),
                in_flight=reply[3 * place],
                started=reply[3 * place + 1],
            )
            for place, (consumer, lease_end_ms) in enumerate(leases)
        )

    def scheduled(self, queue: str, offset: int = 0, count: int = 100) -> tuple[ScheduledMessage, ...]:
        """Return messages that wait for their time, soonest first; at most ``count`` from ``offset`` on."""
        with translated("scheduled"):
            names = self.queue_keys(queue)
            return self._read_scheduled(
                queue, self.client.zrange(names.key("scheduled"), offset, offset + count - 1, withscores=True)
            )

    def parked(self, queue: str, count: int = 100) -> tuple[ScheduledMessage, ...]:
        """Return messages that wait for a signal, a sleep's end or an agent: at most ``count``, whose time ends first.

        Of one that waits without an end the due time is :data:`hive.store.run_values.FAR_MS`.
        """
        # What is due was promoted; it leaves the set with the next that is parked.
        after = f"({self.server_time_ms()}"
        with translated("parked"):
            key = self.queue_keys(queue).key("parked")
            return self._read_scheduled(
                queue, self.client.zrangebyscore(key, after, "+inf", start=0, num=count, withscores=True)
            )

    def _read_scheduled(self, queue: str, found: Sequence[tuple[bytes, float]]) -> tuple[ScheduledMessage, ...]:
        if not found:
            return ()
        records = self.client.hmget(self.queue_keys(queue).key("scheduled", "messages"), [id_ for id_, _ in found])
        return tuple(
            ScheduledMessage(
                message_id=id_.decode(errors="replace"),
                due_ms=int(due_ms),
                priority=int(record.partition(b":")[0].partition(b";")[0].rstrip(b"!")),
                payload=record.partition(b":")[2],
            )
            for (id_, due_ms), record in zip(found, records, strict=True)
            if record is not None
        )

    def cancel_scheduled(self, queue: str, message_ids: Sequence[str]) -> int:
        """Remove scheduled messages, for revoke; returns how many were there. Safe to repeat."""
        if not message_ids:
            return 0
        return int(
            self.call(
                "cancel_scheduled",
                self.queue_keys(queue).keys("scheduled", "scheduled:messages", "parked"),
                *message_ids,
            )
        )

    def bind(self, tables: Sequence[str], binding: str) -> bool:
        """Note in kombu's tables (names without prefix) that an exchange leads to a queue; whether that is new.

        Done on a full broker too. Safe to repeat.
        """
        return bool(self.call("bind", [self.layout.prefix + table for table in tables], binding))

    def pop(self, queues: Sequence[str], count: int = 1) -> tuple[tuple[str, bytes], ...]:
        """Take messages without any record, for consumers that never acknowledge (replies of ``inspect``).

        What is popped is gone: a reply lost on the way is lost. Returns (queue, payload) pairs in kombu's order.
        """
        wanted = distinct(queues)
        if not wanted or count <= 0:
            return ()
        keys = [
            self.queue_keys(queue).ready[step] for step in range(len(self.layout.priority_steps)) for queue in wanted
        ]
        reply = self.call("pop", keys, count, self.settings.claim_max_bytes)
        return tuple((wanted[(reply[place] - 1) % len(wanted)], reply[place + 1]) for place in range(0, len(reply), 2))

    def unpop(self, queue: str, payload: bytes) -> None:
        """Put a message back that :meth:`pop` took, where it will be taken next; a repeat puts it there twice."""
        with translated("unpop"):
            self.client.rpush(self.queue_keys(queue).ready[0], payload)

    def purge(self, queue: str) -> Purged:
        """Remove all messages that wait: ready, in lanes, for their key's turn, scheduled and suspects. In flight and dead letters stay.

        No key is held any more, those of tasks in flight neither. A repeat finds nothing.
        """
        names = self.queue_keys(queue)
        keys = names.keys("scheduled", "scheduled:messages", "suspects", "wake", "published:0", "published:1")
        keys += [*names.keys("unique", "unique:expiry", *FAIR, "parked"), *names.ready]
        keys += [key for lane in self.lanes(queue) for key in names.lane(lane.worker)]
        ready, scheduled, suspects, behind = self.call("purge", keys)
        return Purged(ready=ready, scheduled=scheduled, suspects=suspects, behind=behind)

    def delete_queue(self, queue: str) -> Purged:
        """Purge a queue and remove what stood beside its messages; with consumers or dead letters left, only purge.

        A queue that somebody consumes or that holds dead letters keeps its state, so that nothing in flight is lost
        and its tokens go on growing; one to which somebody publishes meanwhile what waits for its key's turn, too.
        """
        names = self.queue_keys(queue)
        purged = self.purge(queue)
        self.call(
            "delete_queue",
            names.keys(
                "consumers",
                "dead",
                "fair",
                "state",
                "counters",
                "deaths",
                "deaths:expiry",
                "published:0",
                "published:1",
                "unique",
                "unique:expiry",
            ),
        )
        return purged

    def touch(self, ttls_ms: Mapping[str, int], consumer: str | None = None) -> None:
        """Let queues with ``x-expires`` end some time from now; call it at every use of them, and while they are consumed.

        Dead letters end with a queue, as they would if it were deleted on purpose; what consumers hold is kept a day
        longer. Safe to repeat.

        Args:
            ttls_ms: time to live by queue.
            consumer: one of their consumers, whose records are kept too.
        """
        if not ttls_ms:
            return
        keys: list[str] = []
        for queue in ttls_ms:
            names = self.queue_keys(queue)
            held = names.of_consumer(consumer) if consumer is not None else []
            keys += [*names.ready, *names.keys(*_ENDING, *_OF_ITS_CONSUMERS), *held]
        ending = len(self.layout.priority_steps) + len(_ENDING)
        self.call("touch", keys, len(keys) // len(ttls_ms), ending, HELD_KEPT_MS, *ttls_ms.values())

    def wake_keys(self, queues: Sequence[str]) -> tuple[str, ...]:
        """Return the full names of the lists to block on (``BLPOP``) until one of the queues, or lanes, has work."""
        wanted, worker = distinct(queues), self.served_lanes.worker if self.served_lanes is not None else ""
        keys = [self.queue_keys(queue).key("wake") for queue in wanted]
        return (*keys, *(self.queue_keys(queue).lane_wake(worker) for queue in wanted if worker))


def _described(text: bytes | None) -> ConsumerInfo | None:
    if text is None:
        return None
    known = json.loads(text)
    return ConsumerInfo(**{field.name: known[field.name] for field in fields(ConsumerInfo)})
