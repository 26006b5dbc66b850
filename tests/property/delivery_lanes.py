"""What happens to lanes: workers open them, callers publish into them, the living empty those of the dead, the idle steal."""

from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from hive.store import Store
from hive.store.lane import LongLane, ServedLanes
from hive.store.values import Outgoing
from tests.property.delivery_model import QUEUES, STEPS, Consumer, Message, Model


class LaneRules:
    """The rules of a machine that has a model, a store, workers that live, and a source of ids."""

    model: Model
    store: Store
    alive: list[Consumer]
    ids: "count[int]"
    claim_as: Callable[..., None]

    def serve(self, consumer: Consumer) -> None:
        """Let the next claim be one of a worker with its lane, if it has opened one."""
        self.store.served_lanes = served = ServedLanes()
        if self.model.has_lane(consumer.id):
            served.worker = consumer.id
            served.long = {
                name: LongLane(worker=worker, bound=bound)
                for name, (worker, bound) in self.model.long.items()
                if worker != consumer.id
            }

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def open_lanes(self, data: st.DataObject) -> None:
        """A worker reports on all queues, as each does every second."""
        self.report(data.draw(st.sampled_from(self.alive)).id)

    def report(self, worker: str) -> None:
        for name in QUEUES:
            self.store.report_load(name, worker, worker, b"{}")
            self.model.report(name, worker)

    @precondition(lambda self: any(queue.lanes for queue in self.model.queues.values()))
    @rule(data=st.data(), queue=st.sampled_from(QUEUES), priority=st.integers(0, 9), copies=st.integers(1, 6))
    def publish_in_lane(self, data: st.DataObject, queue: str, priority: int, copies: int) -> None:
        """A caller sends to a worker that it knows of, alive or not by now."""
        self.fill(self.draw_lane(data), queue, priority, copies)

    def fill(self, lane: str, queue: str, priority: int, copies: int) -> None:
        for _ in range(copies):
            id_ = f"m{next(self.ids)}"
            outgoing = Outgoing(queue=queue, payload=id_.encode(), message_id=id_, priority=priority, lane=lane)
            message = Message(id_, queue, STEPS[self.store.layout.step(priority)], outgoing.payload)
            self.model.publish(message, None, None, lane)
            assert self.store.publish(outgoing)

    @precondition(lambda self: any(queue.lanes for queue in self.model.queues.values()))
    @rule(data=st.data(), anyway=st.sampled_from([False, False, True]))
    def drain_lanes(self, data: st.DataObject, anyway: bool) -> None:
        """Somebody empties a worker's lanes; a living one's only when it stops."""
        worker = self.draw_lane(data)
        for name in QUEUES:
            lives = {lane.worker: lane.is_alive for lane in self.store.lanes(name)}
            queue = self.model.queues[name]
            assert lives == {one: bool(self.model.lane_lives(queue, one)) for one in queue.lanes}
            assert self.store.drain_lane(name, worker, anyway=anyway) == self.model.drain(name, worker, anyway=anyway)

    @precondition(lambda self: any(queue.lanes for queue in self.model.queues.values()))
    @rule(data=st.data(), bound=st.integers(0, 3))
    def look_for_a_long_lane(self, data: st.DataObject, bound: int) -> None:
        """From now on claims may steal from a lane; its worker is woken, as it is when something waits there."""
        worker = self.draw_lane(data)
        for name in QUEUES:
            self.model.long[name] = worker, bound
            if worker in self.model.queues[name].lanes:
                self.store.wake_lane(name, worker)
                self.model.woken.add(f"{name}@{worker}")

    @precondition(lambda self: len(self.alive) > 1)
    @rule(queue=st.sampled_from(QUEUES), priority=st.integers(0, 9), copies=st.integers(2, 6), bound=st.integers(0, 2))
    def steal(self, queue: str, priority: int, copies: int, bound: int) -> None:
        """A worker that has nothing else to do comes again and again for what waits in the long lane of another."""
        owner, thief = self.alive[:2]
        for worker in (owner, thief):
            self.report(worker.id)
        self.fill(owner.id, queue, priority, copies)
        self.model.long = {queue: (owner.id, bound)}
        for _ in range(4):
            if thief in self.alive:
                thief.sequence += 1
                self.claim_as(thief, [queue], 4, idle=False, seen=True)

    def draw_lane(self, data: st.DataObject) -> Any:
        return data.draw(st.sampled_from(sorted({one for queue in self.model.queues.values() for one in queue.lanes})))
