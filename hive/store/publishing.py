"""Publishing: into the ready lists, or into the scheduled set."""

from collections.abc import Iterator, Sequence

from hive.errors import QueueFull
from hive.store.dedup import digest_of
from hive.store.fairness import Fairness
from hive.store.faults import BatchPublishError, BrokerFullError, BrokerGoneError
from hive.store.finishing import DEATHS_KEPT_MS
from hive.store.guard import Admittance
from hive.store.guarding import Guarding, refusal
from hive.store.lanes import Lanes
from hive.store.turn import mark_of
from hive.store.values import Following, Outgoing, Source

CHUNK_MESSAGES = 500
CHUNK_BYTES = 1_048_576


class Publishing(Guarding, Fairness, Lanes):
    """Puts messages on the broker."""

    def publish(self, message: Outgoing) -> bool:
        """Put a message into its queue, or into the scheduled set if it has a due time, in one round trip.

        May be repeated after an error: with a ``dedup_id`` the repeat is dropped. A scheduled message replaces one with
        the same ``message_id``.

        Returns:
            Whether it was taken; false if it was a repeat within ``publish_dedup_s``.

        Raises:
            MessageTooLargeError: it is over ``max_message_bytes``; nothing was sent.
            QueueFull: its guard bounds the queue, and there is no room; nothing was published.
            BrokerFullError: the broker is at its memory limit; nothing was published.
            BrokerGoneError: no reply; it may have been published.
        """
        self.check_size(message)
        taken = self._send([message])[0]
        if isinstance(taken, QueueFull):
            raise taken
        return taken

    def publish_many(self, messages: Sequence[Outgoing]) -> tuple[bool, ...]:
        """Publish many messages in few round trips; the order within a queue is kept.

        Returns:
            For each message whether it was taken; false for repeats.

        Raises:
            MessageTooLargeError: one is over ``max_message_bytes``; none was sent.
            BatchPublishError: some were not published, or their reply was lost; it says which. There may have been no
                room for them in a bounded queue: then all others were published.
        """
        for message in messages:
            self.check_size(message)
        taken: dict[int, bool] = {}
        full: dict[int, QueueFull] = {}
        for chunk in _chunks(messages):
            try:
                replies = self._send([messages[position] for position in chunk])
            except (BrokerFullError, BrokerGoneError) as error:
                unknown = chunk if isinstance(error, BrokerGoneError) else []
                refused = [place for place in range(len(messages)) if place not in taken and place not in set(unknown)]
                raise BatchPublishError(sorted(taken), unknown, refused, error) from error
            for position, reply in zip(chunk, replies, strict=True):
                if isinstance(reply, QueueFull):
                    full[position] = reply
                else:
                    taken[position] = reply
        if full:
            first = next(iter(full.values()))
            raise BatchPublishError(sorted(taken), [], sorted(full), first) from first
        return tuple(taken[position] for position in range(len(messages)))

    def follow(self, source: Source, message: Outgoing) -> Following:
        """Publish what follows from a delivery, if it is current; each ``dedup_id`` once for all deliveries of a message.

        Safe to repeat; the repeat of a later delivery is dropped too, however long its body ran. Past 1,000 messages from
        one delivery a repeat is known for ``publish_dedup_s`` only.

        Raises:
            MessageTooLargeError: the new message is over the limit; nothing was changed.
            BrokerGoneError: no reply; repeat it.
        """
        self.check_size(message)
        names, target = self.queue_keys(source.delivery.queue), self.queue_keys(message.queue)
        step = self.layout.step(message.priority)
        keys = [
            *names.keys("consumers", "counters", "deaths"),
            names.of_consumer(source.consumer)[0],
            *target.keys("published:0", "published:1", "counters", "scheduled", "scheduled:messages", "wake"),
            target.ready[step],
            names.key("deaths", "expiry"),
        ]
        code = self.call(
            "follow",
            keys,
            self.now_argument(),
            source.consumer,
            source.delivery.token,
            source.message_id,
            DEATHS_KEPT_MS,
            digest_of(f"{message.queue}:{message.dedup_id or message.message_id}").hex(),
            round(self.settings.publish_dedup_s * 1000),
            message.message_id,
            "" if message.due_ms is None else message.due_ms,
            f"{self.layout.priority_steps[step]}{mark_of(message.fair)}",
            message.payload,
        )
        return Following(code)

    def _send(self, chunk: Sequence[Outgoing]) -> Sequence[bool | QueueFull]:
        """Publish or schedule messages of one queue, all ready or all with a due time, all under a guard or none."""
        if chunk[0].guard is not None:
            return [
                refusal(message, admission) or admission.kind is not Admittance.REPEAT
                for message, admission in zip(chunk, self.admit(chunk), strict=True)
            ]
        if chunk[0].fair is not None and chunk[0].due_ms is None:
            return self.publish_in_turn(chunk)
        if chunk[0].lane is not None and chunk[0].due_ms is None:
            return self.publish_in_lane(chunk)
        names = self.queue_keys(chunk[0].queue)
        arguments: list[str | bytes | int] = [
            self.now_argument(),
            round(self.settings.publish_dedup_s * 1000),
        ]
        if chunk[0].due_ms is None:
            keys = names.keys("published:0", "published:1", "counters", "wake") + list(names.ready)
            for message in chunk:
                step = self.layout.step(message.priority)
                arguments += [step + 1, digest_of(message.dedup_id), message.payload]
            return [bool(taken) for taken in self.call("publish", keys, *arguments)]
        keys = names.keys("published:0", "published:1", "counters", "scheduled", "scheduled:messages", "wake")
        for message in chunk:
            priority = self.layout.priority_steps[self.layout.step(message.priority)]
            head = f"{priority}{mark_of(message.fair)}:".encode()
            arguments += [message.message_id, message.due_ms or 0, digest_of(message.dedup_id), head + message.payload]
        return [bool(taken) for taken in self.call("schedule", keys, *arguments)]


def _chunks(messages: Sequence[Outgoing]) -> Iterator[list[int]]:
    """Yield positions of messages that go into one script call: same queue and kind, bounded by count and bytes."""
    groups: dict[tuple[str, bool, bool, bool, str | None], list[int]] = {}
    for position, message in enumerate(messages):
        kind = (message.queue, message.due_ms is None, message.guard is None, message.fair is None, message.lane)
        groups.setdefault(kind, []).append(position)
    for positions in groups.values():
        chunk: list[int] = []
        size_bytes = 0
        for position in positions:
            if chunk and (len(chunk) == CHUNK_MESSAGES or size_bytes >= CHUNK_BYTES):
                yield chunk
                chunk, size_bytes = [], 0
            chunk.append(position)
            size_bytes += len(messages[position].payload)
        yield chunk
