"""Lanes: what is meant for one worker, without being lost with it.

A lane ``<queue>@<worker>`` is a further set of ready lists of its queue. All else of a message (what is in flight, deaths,
dead letters, tokens) is the queue's, so a worker that dies gives back what it had claimed as ever, to the shared lists.
What still waits in the lane is moved there as soon as the lease has ended; and a message is put into a lane in the step
that sees the lease go on, so none is stranded.
"""

from collections.abc import Sequence

from hive.store.caller import Caller
from hive.store.dedup import digest_of
from hive.store.faults import translated
from hive.store.lane import LaneRecord
from hive.store.values import Outgoing

DRAIN_MESSAGES = 500


class Lanes(Caller):
    """Operations on the lanes of queues."""

    def report_load(self, queue: str, worker: str, consumer: str, load: bytes) -> None:
        """Keep a worker's lane of a queue open, and publish what it says of its load. Safe to repeat.

        Args:
            queue: one that the consumer is registered on.
            worker: name of the lane; of two consumers that give the same name, both take from the lane.
            consumer: whose lease the lane lives by.
            load: for callers and other workers; kept as it is.
        """
        names = self.queue_keys(queue)
        keys = [*names.keys("lanes", "loads"), *names.lane(worker)]
        self.call("report_load", keys, self.now_argument(), worker, consumer, load)

    def lanes(self, queue: str) -> tuple[LaneRecord, ...]:
        """Return the lanes of a queue, at most 1,000, by when their workers reported; nothing is changed."""
        reply = self.call("read_lanes", self.queue_keys(queue).keys("consumers", "lanes", "loads"), self.now_argument())
        return tuple(
            LaneRecord(
                worker=worker.decode(),
                is_alive=bool(alive),
                age_s=age_ms / 1000,
                waiting=int(waiting),
                load=load,
            )
            for worker, alive, age_ms, waiting, load in reply
        )

    def in_lanes(self, queue: str) -> dict[str, int]:
        """Return how many messages wait in each lane of a queue now."""
        names, found = self.queue_keys(queue), self.lanes(queue)
        if not found:
            return {}
        steps = len(self.layout.priority_steps)
        with translated("in_lanes"), self.client.pipeline(transaction=False) as pipeline:
            for lane in found:
                for key in names.lane(lane.worker):
                    pipeline.llen(key)
            counts = pipeline.execute()
        return {lane.worker: sum(counts[steps * at : steps * (at + 1)]) for at, lane in enumerate(found)}

    def drain_lane(self, queue: str, worker: str, *, anyway: bool = False) -> int:
        """Move a batch of a lane to the queue's ready lists, where it is claimed next, and forget the lane once it is empty.

        Args:
            queue: the queue.
            worker: whose lane.
            anyway: also while its worker lives; by default that is left alone.

        Returns:
            How many were moved, at most 500; call again until it is 0.
        """
        names = self.queue_keys(queue)
        keys = [*names.keys("consumers", "lanes", "loads", "counters", "wake"), *names.ready, *names.lane(worker)]
        return int(self.call("drain_lane", keys, self.now_argument(), worker, int(anyway), DRAIN_MESSAGES))

    def drain_lanes(self, queue: str) -> int:
        """Empty and forget all lanes of a queue, of the living too; returns how many messages were moved."""
        moved = 0
        for lane in self.lanes(queue):
            while count := self.drain_lane(queue, lane.worker, anyway=True):
                moved += count
        return moved

    def wake_lane(self, queue: str, worker: str) -> None:
        """Let a worker that waits for work look again. A repeat changes nothing."""
        self.call("wake_lane", [self.queue_keys(queue).lane_wake(worker)])

    def publish_in_lane(self, messages: Sequence[Outgoing]) -> list[bool]:
        """Publish ready messages of one queue into one lane; into the queue itself if the lane's worker has gone."""
        worker = messages[0].lane or ""
        names = self.queue_keys(messages[0].queue)
        keys = names.keys("published:0", "published:1", "counters", "wake", "consumers", "loads")
        keys += [names.lane_wake(worker), *names.ready, *names.lane(worker)]
        arguments: list[str | bytes | int] = [
            self.now_argument(),
            round(self.settings.publish_dedup_s * 1000),
            worker,
            len(names.ready),
        ]
        for message in messages:
            arguments += [self.layout.step(message.priority), digest_of(message.dedup_id), message.payload]
        return [bool(taken) for taken in self.call("publish_lane", keys, *arguments)]
