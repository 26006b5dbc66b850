"""After every step: the broker holds exactly what the model holds."""

import json
from typing import Any

import redis
from hypothesis.stateful import invariant

from hive.store import Store
from tests.property.delivery_model import QUEUES, STEPS, Consumer, Message, Model


class Comparison:
    """The invariants of a machine that has a model, a store and a client of the same server."""

    model: Model
    store: Store
    client: redis.Redis
    prefix: str
    results: dict[str, bytes]

    @invariant()
    def same_as_model(self) -> None:
        queues = list(self.model.queues.values())
        consumers = list(self.model.consumers.values())
        with self.client.pipeline(transaction=False) as pipeline:
            for queue in queues:
                names = self.store.queue_keys(queue.name)
                for key in names.ready:
                    pipeline.lrange(key, 0, -1)
                pipeline.zrange(names.key("scheduled"), 0, -1, withscores=True)
                pipeline.hgetall(names.key("scheduled:messages"))
                pipeline.lrange(names.key("suspects"), 0, -1)
                pipeline.hgetall(names.key("dead:messages"))
                pipeline.hgetall(names.key("dead:records"))
                pipeline.zrange(names.key("dead"), 0, -1)
                pipeline.hgetall(names.key("deaths"))
                pipeline.zrange(names.key("deaths:expiry"), 0, -1)
                pipeline.zrange(names.key("consumers"), 0, -1, withscores=True)
                pipeline.lpop(names.key("wake"))
                pipeline.hkeys(names.key("loads"))
                for worker in queue.lanes:
                    pipeline.lpop(names.lane_wake(worker))
                    for key in names.lane(worker):
                        pipeline.lrange(key, 0, -1)
                for consumer in consumers:
                    for key in names.of_consumer(consumer.id)[:2]:
                        pipeline.hgetall(key)
            reply = iter(pipeline.execute())
        for queue in queues:
            self.compare_queue(queue, reply)
            for consumer in consumers:
                self.compare_held(queue.name, consumer, next(reply), next(reply))
        self.model.woken.clear()
        self.compare_totals()

    def compare_queue(self, queue: Any, reply: Any) -> None:
        for step in STEPS:
            assert next(reply)[::-1] == [message.payload for message in queue.ready[step]]
        scheduled = {id_.decode(): int(due_ms) for id_, due_ms in next(reply)}
        assert scheduled == {id_: due_ms for id_, (due_ms, _) in queue.scheduled.items()}
        assert next(reply) == {
            id_.encode(): f"{message.priority}{'!' * message.is_suspect}:".encode() + message.payload
            for id_, (_, message) in queue.scheduled.items()
        }
        waiting = [f"{message.priority}:".encode() + message.payload for message in queue.suspects]
        assert next(reply)[::-1] == waiting
        messages, records, order = next(reply), next(reply), next(reply)
        assert sorted(messages.values()) == sorted(
            f"{message.priority}:".encode() + message.payload for message in queue.dead
        )
        assert set(messages) == set(records) == set(order)
        counts = {json.loads(record)["message_id"]: json.loads(record) for record in records.values()}
        assert {message.id: message.deaths for message in queue.dead} == {
            id_: sum(not ended["how"].startswith("set aside") for ended in _since_redriven(record["history"]))
            for id_, record in counts.items()
        }
        self.compare_deaths(queue.name, next(reply), next(reply))
        leases = {name.decode(): int(end_ms) for name, end_ms in next(reply)}
        assert leases == {
            one.id: one.lease[queue.name] for one in self.model.consumers.values() if queue.name in one.lease
        }
        wake = next(reply)
        assert wake is not None or queue.name not in self.model.woken
        assert {worker.decode() for worker in next(reply)} == set(queue.lanes)
        for worker, lane in queue.lanes.items():
            token = next(reply)
            assert token is not None or f"{queue.name}@{worker}" not in self.model.woken
            for step in STEPS:
                assert next(reply)[::-1] == [message.payload for message in lane[step]]

    def compare_deaths(self, queue: str, deaths: dict[bytes, bytes], expiry: list[bytes]) -> None:
        counted = {id_.decode(): json.loads(record)["count"] for id_, record in deaths.items()}
        living = {message.id: message.deaths for message in self.living(queue) if message.deaths}
        assert living.items() <= counted.items()  # I6
        # Where only next steps are noted, the note ends with its message, or with the hash.
        only_steps = {id_ for id_, record in deaths.items() if json.loads(record).get("steps")}
        assert set(deaths) <= set(expiry) | only_steps  # I9
        assert not self.model.settled & set(counted)  # I9

    def compare_held(
        self, queue: str, consumer: Consumer, in_flight: dict[bytes, bytes], started: dict[bytes, bytes]
    ) -> None:
        held = {token: one for (name, token), one in consumer.held.items() if name == queue}
        assert {int(token): record.split(b":", 2)[2] for token, record in in_flight.items()} == {
            token: one.message.payload for token, one in held.items()
        }
        assert {int(token): id_.decode() for token, id_ in started.items()} == {
            token: one.message.id for token, one in held.items() if one.started
        }

    def living(self, queue: str) -> list[Message]:
        one = self.model.queues[queue]
        held = [
            entry.message
            for consumer in self.model.consumers.values()
            for key, entry in consumer.held.items()
            if key[0] == queue
        ]
        ready = [message for of_step in one.ready.values() for message in of_step]
        return ready + one.in_lanes() + one.suspects + held + [message for _, message in one.scheduled.values()]

    def compare_totals(self) -> None:
        everywhere = [message.id for queue in QUEUES for message in self.living(queue)]
        everywhere += [message.id for queue in QUEUES for message in self.model.queues[queue].dead]
        assert len(everywhere) == len(set(everywhere))  # I1, I2
        assert not self.model.done & set(everywhere)  # I8
        assert len(everywhere) + len(self.model.done) == self.model.published  # I5
        for key, value in self.results.items():
            assert self.client.get(key) == value
        assert not self.client.exists(f"{self.prefix}result-late")


def _since_redriven(history: Any) -> list[Any]:
    """Return the end of a history; Lua writes an empty one as an object."""
    ends = list(history)
    redriven = [place for place, ended in enumerate(ends) if ended["how"] == "redriven"]
    return ends[redriven[-1] + 1 :] if redriven else ends
