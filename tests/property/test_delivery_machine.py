"""The scripts against a real server and a plain model, step by step: invariants I1-I10.

I1  a message is in exactly one of: scheduled, ready, suspects, in flight, dead, done
I2  at most one current delivery per message
I3  tokens of one queue, hence of one message, strictly increase, also over restarts and clock steps
I4  steps of a delivery that is not current change nothing
I5  published = scheduled + ready + suspects + in flight + dead + done
I6  the count of starts that ended with a death survives redelivery
I7  after the lease has ended and the reaper has run, a message is ready, a suspect or dead
I8  what was finished is never delivered again
I9  every record beside a message has its message, or expires
I10 priorities and order hold: what a claim takes is predicted exactly
"""

import os
import random
from dataclasses import replace
from itertools import count
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.values import (
    ClaimStatus,
    ConsumerInfo,
    DeliveryId,
    Fate,
    Following,
    Outcome,
    Outgoing,
    Source,
    Start,
    StoredResult,
)
from tests.property.delivery_comparison import Comparison
from tests.property.delivery_lanes import LaneRules
from tests.property.delivery_model import HOUR_MS, QUEUES, STEPS, Consumer, Held, Message, Model
from tests.support.redis_server import RedisServer

EXAMPLE = count()
LONG_EXAMPLES = int(os.environ.get("HIVE_TEST_EXAMPLES", "3000"))
SETTINGS = DeliverySettings(lease_s=6.0, claim_max_bytes=400, claim_max_messages=5)
INFO = ConsumerInfo(node="celery@test", pid=1, version="0", started_ms=0)


class DeliveryMachine(Comparison, LaneRules, RuleBasedStateMachine):
    """Three workers, two queues, and everything that can happen to them."""

    server: ClassVar[RedisServer]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(lease_ms=6000, max_deliveries=3, max_bytes=400, dedup_ms=60_000)
        self.client = self.server.client(retry=never_repeating())
        self.prefix = f"machine{next(EXAMPLE)}-"
        self.store = Store(
            self.client,
            layout=Layout(prefix=self.prefix),
            settings=SETTINGS,
            now_ms=lambda: self.model.now_ms,
            run_id=lambda: self.model.run_id,
        )
        self.ids = count(1)
        self.alive: list[Consumer] = []
        self.past: list[tuple[Consumer, tuple[str, int]]] = []
        self.sent: list[Outgoing] = []
        self.last_token = dict.fromkeys(QUEUES, 0)
        self.results: dict[str, bytes] = {}
        for _ in range(3):
            self.hire()

    def teardown(self) -> None:
        names = {self.prefix + name for name in QUEUES}
        keys = [key for key in self.client.scan_iter(match=self.prefix + "*", count=1000) if names]
        if keys:
            self.client.unlink(*keys)
        self.client.close()

    def hire(self) -> None:
        consumer = self.model.register(f"c{next(self.ids)}")
        self.alive.append(consumer)
        assert {one.queue for one in self.store.register(consumer.id, QUEUES, INFO)} == set(QUEUES)

    # Publishing

    @rule(
        queue=st.sampled_from(QUEUES),
        priority=st.integers(0, 9),
        size_bytes=st.sampled_from([1, 20, 90]),
        delay_ms=st.sampled_from([None, None, None, 0, 500, 5000]),
        copies=st.integers(1, 5),
    )
    def publish(self, queue: str, priority: int, size_bytes: int, delay_ms: int | None, copies: int) -> None:
        for _ in range(copies):
            self.publish_one(queue, priority, size_bytes, delay_ms)

    def publish_one(self, queue: str, priority: int, size_bytes: int, delay_ms: int | None) -> None:
        id_ = f"m{next(self.ids)}"
        # What a payload holds is nobody's business: separators, marks and bytes that are not text.
        payload = f"{id_}:!".encode() + b"\x00\xff:[]" * size_bytes
        due_ms = None if delay_ms is None else self.model.now_ms + delay_ms
        outgoing = Outgoing(
            queue=queue, payload=payload, message_id=id_, priority=priority, dedup_id=f"d-{id_}", due_ms=due_ms
        )
        self.sent.append(outgoing)
        self.send(outgoing)

    def send(self, outgoing: Outgoing) -> None:
        step = STEPS[self.store.layout.step(outgoing.priority)]
        message = Message(outgoing.message_id, outgoing.queue, step, outgoing.payload)
        expected = self.model.publish(message, outgoing.dedup_id, outgoing.due_ms)
        assert self.store.publish(outgoing) is expected

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def publish_again(self, data: st.DataObject) -> None:
        old = data.draw(st.sampled_from(self.sent[-5:]))
        # A body of its own shows whether it was dropped as a repeat, inside the window, or taken, after it.
        id_ = f"m{next(self.ids)}"
        self.send(replace(old, message_id=id_, payload=f"again {id_}".encode()))

    # Claiming

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(),
        credit=st.integers(1, 5),
        idle=st.booleans(),
        swap=st.booleans(),
        lost=st.sampled_from([None, "for good", "repeated", "compared", "under way"]),
    )
    def claim(self, data: st.DataObject, credit: int, idle: bool, swap: bool, lost: str | None) -> None:
        """A claim in either order, whose reply may be lost: then it is repeated, or a renewal shows the difference."""
        consumer = data.draw(st.sampled_from(self.alive))
        order = list(QUEUES)[:: -1 if swap else 1]
        consumer.sequence += 1
        self.claim_as(consumer, order, credit, idle=idle, seen=lost is None)
        if lost == "repeated":
            self.claim_as(consumer, order, credit, idle=idle, seen=True)
        elif lost in {"compared", "under way"}:
            completed = consumer.sequence - (lost == "under way")
            for queue in QUEUES:
                self.reconcile_as(consumer, queue, completed)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), end=st.sampled_from(["none", "none", "die", "finish"]))
    def work(self, data: st.DataObject, end: str) -> None:
        """What a worker does all day: claim, start all of it, and come to the same end with each."""
        self.work_as(data.draw(st.sampled_from(self.alive)), end)

    @rule(ends=st.lists(st.sampled_from(["die", "die", "crash"]), min_size=2, max_size=4))
    def poison(self, ends: list[str]) -> None:
        """Everything that the first worker takes kills it or its pool child, several times in a row."""
        for end in ends:
            self.work_as(self.alive[0], end)
            if end == "crash":
                self.crash_as(self.alive[0], steps=5, renewing=True)

    @precondition(lambda self: any(queue.suspects for queue in self.model.queues.values()))
    @rule(idle=st.lists(st.booleans(), min_size=2, max_size=5), wait_ms=st.sampled_from([0, 0, 6000]))
    def claims_while_a_suspect_waits(self, idle: list[bool], wait_ms: int) -> None:
        """Several workers claim in turn, idle or not, and not all of them truthfully."""
        for place, is_idle in enumerate(idle):
            consumer = self.alive[place % len(self.alive)]
            consumer.sequence += 1
            self.claim_as(consumer, list(QUEUES), 2, idle=is_idle, seen=True)
            self.model.now_ms += wait_ms

    def work_as(self, consumer: Consumer, end: str) -> None:
        consumer.sequence += 1
        self.claim_as(consumer, list(QUEUES), 4, idle=not consumer.held, seen=True)
        for key, held in list(consumer.held.items()):
            if consumer.registered(key[0]):
                self.start_as(consumer, key, held)
                if end == "die":
                    self.die_as(consumer, key, held)
                elif end == "finish":
                    self.finish_as(consumer, key, held, with_result=False)

    @precondition(lambda self: any(consumer.sequence for consumer in self.alive))
    @rule(data=st.data(), back=st.integers(0, 1), swap=st.booleans())
    def claim_again(self, data: st.DataObject, back: int, swap: bool) -> None:
        consumer = data.draw(st.sampled_from([one for one in self.alive if one.sequence]))
        order = list(QUEUES)[:: -1 if swap else 1]
        self.claim_as(consumer, order, 3, idle=False, seen=True, sequence=max(consumer.sequence - back, 1))

    def claim_as(
        self, consumer: Consumer, order: list[str], credit: int, *, idle: bool, seen: bool, sequence: int | None = None
    ) -> None:
        sequence = sequence or consumer.sequence
        self.model.taken = []
        status, expected = self.model.claim(consumer, order, sequence, credit, idle=idle)
        self.serve(consumer)
        claim = self.store.claim(consumer.id, order, sequence=sequence, credit=credit, idle=idle)
        assert claim.status is status
        assert [(one.id.queue, one.payload, one.suspect) for one in claim.deliveries] == expected  # I8, I10
        keys = [(one.id.queue, one.id.token) for one in claim.deliveries]
        if self.model.taken:
            for queue, token in sorted(keys, key=lambda key: key[1]):
                assert token > self.last_token[queue]  # I3
                self.last_token[queue] = token
            self.model.record(consumer, sequence, keys)
            assert claim.more == self.model.more
        if status is ClaimStatus.UNREGISTERED:
            self.bury_worker(consumer)
        elif seen:
            consumer.seen |= set(keys)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        self.renew_as(data.draw(st.sampled_from(self.alive)))

    def renew_as(self, consumer: Consumer) -> None:
        expected = self.model.renew(consumer, list(QUEUES))
        replies = self.store.renew(consumer.id, QUEUES)
        assert [(one.registered, one.in_flight, one.promoted) for one in replies] == expected
        if not all(one.registered for one in replies):
            self.bury_worker(consumer)

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), queue=st.sampled_from(QUEUES), behind=st.integers(0, 1))
    def reconcile(self, data: st.DataObject, queue: str, behind: int) -> None:
        holders = [consumer for consumer in self.alive if consumer.held]
        consumer = data.draw(st.sampled_from(holders or self.alive))
        self.reconcile_as(consumer, queue, consumer.sequence - behind)

    def reconcile_as(self, consumer: Consumer, queue: str, sequence: int) -> None:
        held = [token for name, token in consumer.seen if name == queue]
        expected = self.model.reconcile(consumer, queue, sequence)
        assert self.store.reconcile(consumer.id, queue, held, sequence) == expected

    # Steps of a current delivery

    def draw_held(self, data: st.DataObject) -> tuple[Consumer, tuple[str, int], Held]:
        current = [
            (consumer, key)
            for consumer in self.model.consumers.values()
            for key in sorted(consumer.held)
            if consumer.registered(key[0])
        ]
        consumer, key = data.draw(st.sampled_from(current))
        return consumer, key, consumer.held[key]

    def holds_something(self) -> bool:
        return any(consumer.registered(key[0]) for consumer in self.model.consumers.values() for key in consumer.held)

    def end(self, consumer: Consumer, key: tuple[str, int]) -> None:
        del consumer.held[key]
        self.past.append((consumer, key))

    @precondition(holds_something)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.start_as(*self.draw_held(data))

    def start_as(self, consumer: Consumer, key: tuple[str, int], held: Held) -> None:
        start = Start(id=DeliveryId(queue=key[0], token=key[1]), message_id=held.message.id)
        (started,) = self.store.start(consumer.id, [start])
        assert (started.outcome, started.deaths) == (Outcome.DONE, held.message.deaths)  # I6
        held.started = True

    @precondition(holds_something)
    @rule(data=st.data(), with_result=st.booleans())
    def finish(self, data: st.DataObject, with_result: bool) -> None:
        self.finish_as(*self.draw_held(data), with_result=with_result)

    def die_as(self, consumer: Consumer, key: tuple[str, int], held: Held) -> None:
        fate = self.model.die(held)
        assert self.store.reject(consumer.id, DeliveryId(queue=key[0], token=key[1]), "killed") is fate
        self.end(consumer, key)

    def finish_as(self, consumer: Consumer, key: tuple[str, int], held: Held, *, with_result: bool) -> None:
        id_ = DeliveryId(queue=key[0], token=key[1])
        if with_result:
            result = self.result_of(held.message, key)
            assert self.store.store_result(consumer.id, id_, self.result_of(held.message, (key[0], 0))) is Outcome.DONE
            assert self.store.finish_with_result(consumer.id, id_, result) is Outcome.DONE
            self.results[result.key] = result.value
        else:
            assert self.store.finish(consumer.id, [id_]) == (Outcome.DONE,)
        self.model.done.add(held.message.id)
        if held.started:
            self.model.settled.add(held.message.id)
        self.end(consumer, key)

    def result_of(self, message: Message, key: tuple[str, int]) -> StoredResult:
        return StoredResult(
            key=f"{self.prefix}result-{message.id}", value=f"{key}".encode(), ttl_ms=60_000, channel="c"
        )

    @precondition(holds_something)
    @rule(data=st.data(), how=st.sampled_from(["requeue", "dead_letter", "retry", "reschedule"]))
    def end_otherwise(self, data: st.DataObject, how: str) -> None:
        consumer, key, held = self.draw_held(data)
        id_ = DeliveryId(queue=key[0], token=key[1])
        model, message = self.model, held.message
        due_ms = model.now_ms + data.draw(st.sampled_from([-1, 0, 700]))
        if how == "requeue":
            assert self.store.requeue(consumer.id, [id_]) == (Outcome.DONE,)
            model.put_back(held)
        elif how == "dead_letter":
            outcome = self.store.dead_letter(consumer.id, id_, reason="r", cause="c", message_id=message.id)
            assert outcome is Outcome.DONE
            model.queues[message.queue].dead.append(message)
            model.settled.add(message.id)
        elif how == "retry":
            new = Message(f"m{next(self.ids)}", message.queue, 3, b"again:" + message.payload[:60])
            outgoing = Outgoing(queue=new.queue, payload=new.payload, message_id=new.id, priority=3, due_ms=due_ms)
            assert self.store.retry(consumer.id, id_, outgoing) is Outcome.DONE
            model.done.add(message.id)
            model.publish(new, None, due_ms if due_ms > model.now_ms else None)
        else:
            assert self.store.reschedule(consumer.id, id_, message.id, due_ms) is Outcome.DONE
            message.is_suspect = held.suspect
            model.queues[message.queue].scheduled[message.id] = (due_ms, message)
        self.end(consumer, key)

    @precondition(holds_something)
    @rule(data=st.data(), step=st.sampled_from(["callback", "chain"]), to=st.sampled_from(QUEUES))
    def follow(self, data: st.DataObject, step: str, to: str) -> None:
        """A next step is published once to each queue it goes to, from all deliveries of a message."""
        consumer, key, held = self.draw_held(data)
        source = Source(
            consumer=consumer.id, delivery=DeliveryId(queue=key[0], token=key[1]), message_id=held.message.id
        )
        new = Message(f"m{next(self.ids)}", to, 6, f"{step} after {held.message.id}".encode())
        outgoing = Outgoing(queue=to, payload=new.payload, message_id=new.id, priority=6, dedup_id=step)
        expected = Following.REPEAT if (step, to) in held.message.steps else Following.PUBLISHED
        assert self.store.follow(source, outgoing) is expected
        if expected is Following.PUBLISHED:
            held.message.steps.add((step, to))
            self.model.publish(new, None, None)

    # What operators do

    @rule(queue=st.sampled_from(QUEUES), sure=st.sampled_from([True, False, False, False]))
    def purge(self, queue: str, sure: bool) -> None:
        if sure:
            purged = self.store.purge(queue)
            assert (purged.ready, purged.scheduled, purged.suspects) == self.model.purge(queue)

    @precondition(lambda self: any(queue.dead for queue in self.model.queues.values()))
    @rule(data=st.data(), count=st.integers(1, 3), to=st.sampled_from(QUEUES))
    def redrive(self, data: st.DataObject, count: int, to: str) -> None:
        """Letters go back with their bytes; the same again passes over those that are gone."""
        name = data.draw(st.sampled_from([queue.name for queue in self.model.queues.values() if queue.dead]))
        ids = self.store.dead_ids(name, limit=count)
        known = {letter.id: letter.message_id for letter in self.store.dead_read(name, ids)}
        assert self.store.redrive(name, ids, to=to) == (len(ids), len(ids))
        self.model.redrive(name, [known[id_] for id_ in ids], to)
        assert self.store.redrive(name, ids, to=to) == (len(ids), 0)

    # Steps of a delivery that is not current any more: I4

    @precondition(lambda self: self.past)
    @rule(data=st.data(), step=st.integers(0, 8))
    def late_step(self, data: st.DataObject, step: int) -> None:
        consumer, key = data.draw(st.sampled_from(self.past))
        id_ = DeliveryId(queue=key[0], token=key[1])
        expected = self.model.standing(consumer, key)
        assert expected is not Outcome.DONE
        store, name = self.store, consumer.id
        new = Outgoing(queue=key[0], payload=b"late", message_id="late", due_ms=self.model.now_ms)
        result = StoredResult(key=f"{self.prefix}result-late", value=b"late", ttl_ms=None)
        got: Any = [
            lambda: store.finish(name, [id_])[0],
            lambda: store.finish_with_result(name, id_, result),
            lambda: store.store_result(name, id_, result),
            lambda: store.check(name, id_),
            lambda: store.requeue(name, [id_])[0],
            lambda: store.retry(name, id_, new),
            lambda: store.reschedule(name, id_, "late", self.model.now_ms),
            lambda: store.dead_letter(name, id_, reason="r", cause="c"),
            lambda: store.start(name, [Start(id=id_, message_id="late")])[0].outcome,
        ][step]()
        assert got is expected
        fate = {Outcome.STALE: Fate.STALE, Outcome.ALREADY: Fate.ALREADY}[expected]
        assert store.reject(name, id_, "late") is fate

    # Time, deaths, the reaper

    @rule(step_ms=st.sampled_from([1, 400, 1500, 2900, 3000, 7000, 60_000]))
    def advance(self, step_ms: int) -> None:
        self.model.now_ms += step_ms

    @rule(step_ms=st.sampled_from([0, HOUR_MS, -HOUR_MS, -10]))
    def trouble(self, step_ms: int) -> None:
        """The broker's clock is set, or (0) the broker is restarted."""
        self.model.now_ms += step_ms
        if step_ms == 0:
            self.model.run_id = f"run{next(self.ids)}"

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(),
        steps=st.sampled_from([5, 6, 3]),
        renewing=st.sampled_from([True, True, False]),
        between=st.sampled_from(["", "", "", "restart", "pause", "step back"]),
    )
    def crash(self, data: st.DataObject, steps: int, renewing: bool, between: str) -> None:
        """A worker dies; the others tick, and renew unless they are cut off too; then everything is reaped once.

        What happens between the last look and the reap makes that look worthless.
        """
        victims = [consumer for consumer in self.alive if consumer.held] or self.alive
        self.crash_as(data.draw(st.sampled_from(victims)), steps, renewing=renewing, between=between)

    def crash_as(self, consumer: Consumer, steps: int, *, renewing: bool, between: str = "") -> None:
        self.bury_worker(consumer)
        for _ in range(steps):
            self.model.now_ms += 1400
            if renewing:
                for other in list(self.alive):
                    self.renew_as(other)
            self.tick()
        if between == "restart":
            self.model.run_id = f"run{next(self.ids)}"
        self.model.now_ms += {"pause": 3000, "step back": -10}.get(between, 0)
        for one in list(self.model.consumers.values()):
            for queue, end_ms in list(one.lease.items()):
                if end_ms <= self.model.now_ms:
                    self.reap(one, queue)

    def bury_worker(self, consumer: Consumer) -> None:
        """Stop using it for claims and renewals; a frozen one may still come back with late steps."""
        if consumer in self.alive:
            self.alive.remove(consumer)
        if len(self.alive) < 2:
            self.hire()

    @rule(data=st.data(), wait_ms=st.sampled_from([None, 0, 2999, 3000]))
    def tick_and_reap(self, data: st.DataObject, wait_ms: int | None) -> None:
        """One look, and a reap of anybody at some time after it."""
        if wait_ms is not None:
            self.tick()
            self.model.now_ms += wait_ms
        consumer = data.draw(st.sampled_from(list(self.model.consumers.values())))
        self.reap(consumer, data.draw(st.sampled_from(QUEUES)))

    def tick(self) -> None:
        expected = [self.model.tick(name) for name in QUEUES]
        assert [(one.forgiven, set(one.expired)) for one in self.store.tick(QUEUES)] == expected

    def reap(self, consumer: Consumer, queue: str) -> None:
        before = {key for key in consumer.held if key[0] == queue}
        expected = self.model.reap(consumer, queue)
        self.past += [(consumer, key) for key in sorted(before - set(consumer.held))]
        got = self.store.reap(queue, consumer.id)
        assert (got.reaped, got.returned, got.suspects, got.dead, got.remaining) == expected  # I7


def run_machine(server: RedisServer, rng: random.Random, *, examples: int, steps: int) -> None:
    DeliveryMachine.server = server
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(rng.randrange(2**32))(DeliveryMachine), settings=profile)


@pytest.mark.slow
def test_scripts_do_what_the_model_says(redis_server: RedisServer, rng: random.Random) -> None:
    run_machine(redis_server, rng, examples=100, steps=50)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_scripts_do_what_the_model_says_for_long(redis_server: RedisServer, rng: random.Random) -> None:
    run_machine(redis_server, rng, examples=LONG_EXAMPLES, steps=120)
