"""Guarded publishing on a real broker: who holds a key and until when, and how many messages may wait."""

import itertools
import threading
import uuid
from typing import Any

import pytest
from redis.backoff import NoBackoff
from redis.retry import Retry

from hive.errors import QueueFull
from hive.monitoring.figures import observe_queue
from hive.monitoring.prometheus import QUEUE_COUNTERS
from hive.settings.parts import DeliverySettings
from hive.store.faults import BatchPublishError
from hive.store.guard import Admission, Admittance, Bound, Guard, Uniqueness
from hive.store.keys import Layout
from hive.store.store import Store
from hive.store.values import ConsumerInfo, Delivery, Fate, Outcome, Outgoing, Start, StoredResult
from tests.support.broker_clock import BrokerClock
from tests.support.redis_server import RedisServer

ENVELOPE = '{"body": "%s", "properties": {"delivery_tag": "%s"}}'


def message(id_: str, guard: Guard | None, *, priority: int = 0, due_ms: int | None = None, **parts: Any) -> Outgoing:
    return Outgoing(
        queue="q",
        payload=(ENVELOPE % (id_, id_)).encode(),
        message_id=id_,
        priority=priority,
        dedup_id=id_,
        due_ms=due_ms,
        guard=guard,
        **parts,
    )


def keyed(id_: str, *, until_done: bool, within_s: float = 60.0, **parts: Any) -> Outgoing:
    """A message of the task ``task-<id>`` that asks for the one key of this file."""
    wanted = Uniqueness(digest="key", task_id=f"task-{id_}", within_s=within_s, until_done=until_done)
    return message(id_, Guard(uniqueness=wanted), **parts)


def bounded(id_: str, most: int, *, sheds: bool = False, **parts: Any) -> Outgoing:
    return message(id_, Guard(bound=Bound(max_length=most, sheds=sheds)), **parts)


def admit(store: Store, *messages: Outgoing) -> list[Admission]:
    return store.admit(messages)


def twin_of(store: Store, asking: Outgoing) -> str | None:
    (admission,) = admit(store, asking)
    assert (admission.kind is Admittance.TWIN) == (admission.twin is not None)
    return admission.twin


def run(store: Store, consumer: str) -> Delivery:
    """Claim the one message there is, and start it."""
    store.register(consumer, ["q"], ConsumerInfo(node=f"{consumer}@host", pid=1, version="0", started_ms=1))
    (delivery,) = store.claim(consumer, ["q"], sequence=1, credit=10, idle=True).deliveries
    tag = delivery.payload.decode().split('"delivery_tag": "')[1].split('"')[0]
    (started,) = store.start(consumer, [Start(id=delivery.id, message_id=tag)])
    assert started.outcome is Outcome.DONE
    return delivery


def waiting(store: Store) -> int:
    stats = store.stats("q")
    return sum(stats.ready.values()) + stats.scheduled + stats.suspects


@pytest.mark.parametrize("until_done", [False, True])
def test_a_key_is_held_by_the_first_for_its_time(store: Store, clock: BrokerClock, until_done: bool) -> None:
    assert twin_of(store, keyed("a", until_done=until_done)) is None
    assert twin_of(store, keyed("b", until_done=until_done)) == "task-a"
    assert twin_of(store, keyed("c", until_done=until_done, due_ms=clock.now_ms + 5_000)) == "task-a"
    assert waiting(store) == 1
    clock.now_ms += 60_000
    assert twin_of(store, keyed("d", until_done=until_done)) is None
    assert (waiting(store), store.stats("q").counters["twins"]) == (2, 2)


def test_a_time_begins_when_an_eta_is_due(store: Store, clock: BrokerClock) -> None:
    admit(store, keyed("a", until_done=False, due_ms=clock.now_ms + 90_000))
    assert store.stats("q").scheduled == 1
    clock.now_ms += 149_000
    assert twin_of(store, keyed("b", until_done=False)) == "task-a"
    clock.now_ms += 1_000
    assert twin_of(store, keyed("c", until_done=False)) is None


def test_the_repeat_of_a_publish_is_no_twin_of_itself(store: Store) -> None:
    once = keyed("a", until_done=True)
    assert [one.kind for one in admit(store, once, once)] == [Admittance.TAKEN, Admittance.REPEAT]
    delivery = run(store, "c")
    store.finish("c", [delivery.id])
    assert admit(store, once)[0].kind is Admittance.REPEAT, "its reply was lost, and it has run meanwhile"
    assert waiting(store) == 0


def test_a_publish_that_holds_its_key_is_a_repeat_however_late(store: Store, clock: BrokerClock) -> None:
    once = keyed("a", until_done=False, within_s=600)
    admit(store, once)
    clock.now_ms += 300_000
    assert admit(store, once)[0].kind is Admittance.REPEAT, "long after the memory of what was published"
    assert waiting(store) == 1


@pytest.mark.parametrize("due_in_s", [0, 30 * 86_400])
def test_a_key_outlasts_what_was_noted_of_other_messages(store: Store, clock: BrokerClock, due_in_s: int) -> None:
    # The deaths of all messages, by which it is known which task holds a key, are one hash; one of old has set its end.
    admit(store, message("other", None))
    store.reject("c", run(store, "c").id, "its child was lost")
    names = store.queue_keys("q").keys("deaths", "deaths:expiry")
    for name in names:
        store.client.pexpire(name, 1_000)
    within_s = 3_600
    admit(store, keyed("a", until_done=True, within_s=within_s, due_ms=clock.now_ms + due_in_s * 1_000))
    assert all(store.client.pttl(name) >= (due_in_s + within_s) * 1_000 for name in names)


@pytest.mark.parametrize("end", ["finish", "result", "retry"])
def test_nothing_is_kept_of_a_key_until_done_once_its_message_has_ended(store: Store, end: str) -> None:
    admit(store, keyed("a", until_done=True))
    delivery = run(store, "c")
    if end == "finish":
        store.finish("c", [delivery.id])
    elif end == "result":
        store.finish_with_result("c", delivery.id, StoredResult(key="result", value=b"v", ttl_ms=60_000))
    else:
        store.retry("c", delivery.id, message("a2", None, due_ms=0))
        assert twin_of(store, keyed("b", until_done=True)) == "task-a", "its next attempt holds it"
        store.finish("c2", [run(store, "c2").id])
    names = store.queue_keys("q")
    assert store.client.exists(*names.keys("unique", "unique:expiry", "deaths", "deaths:expiry")) == 0


def test_a_task_that_ends_leaves_the_key_that_is_anothers_by_now(store: Store, clock: BrokerClock) -> None:
    admit(store, keyed("a", until_done=True, within_s=5))
    delivery = run(store, "c")
    clock.now_ms += 5_500
    assert twin_of(store, keyed("b", until_done=True)) is None
    store.finish("c", [delivery.id])
    assert twin_of(store, keyed("c", until_done=True)) == "task-b"


@pytest.mark.parametrize("end", ["finish", "dead letter"])
def test_a_key_until_done_ends_with_the_message_and_one_for_a_time_does_not(store: Store, end: str) -> None:
    for until_done in (False, True):
        admit(store, keyed("a", until_done=until_done))
        delivery = run(store, f"c{until_done}")
        assert twin_of(store, keyed("b", until_done=until_done)) == "task-a"
        if end == "finish":
            store.finish(f"c{until_done}", [delivery.id])
        else:
            store.dead_letter(f"c{until_done}", delivery.id, reason="broken", cause="c", message_id="a")
        assert twin_of(store, keyed("c", until_done=until_done)) == (None if until_done else "task-a")
        store.purge("q")


def test_a_redrive_takes_the_key_again_unless_another_has_it(store: Store) -> None:
    admit(store, keyed("a", until_done=True))
    delivery = run(store, "c")
    store.dead_letter("c", delivery.id, reason="broken", cause="c", message_id="a")
    store.redrive("q", store.dead_ids("q"))
    assert twin_of(store, keyed("b", until_done=True)) == "task-a"


@pytest.mark.parametrize("how", ["broken", "deaths"])
def test_a_redriven_message_keeps_its_key_over_deaths_and_retries(store: Store, how: str) -> None:
    admit(store, keyed("a", until_done=True))
    if how == "broken":
        store.dead_letter("c", run(store, "c").id, reason="broken", cause="c", message_id="a")
    else:
        fates = [store.reject(name, run(store, name).id, "killed") for name in ("c1", "c2", "c3")]
        assert fates[-1] is Fate.DEAD
    assert store.redrive("q", store.dead_ids("q")) == (1, 1)
    assert store.retry("d", run(store, "d").id, message("a2", None)) is Outcome.DONE
    assert twin_of(store, keyed("b", until_done=True)) == "task-a"
    store.finish("e", [run(store, "e").id])
    assert twin_of(store, keyed("c", until_done=True)) is None


def test_a_death_and_a_retry_keep_the_key(store: Store, clock: BrokerClock) -> None:
    admit(store, keyed("a", until_done=True))
    delivery = run(store, "first")
    assert store.reject("first", delivery.id, "killed") is Fate.READY
    assert twin_of(store, keyed("b", until_done=True)) == "task-a"
    delivery = run(store, "second")
    clock.now_ms += 30_000
    again = message("a2", None, due_ms=clock.now_ms + 20_000)
    assert store.retry("second", delivery.id, again) is Outcome.DONE
    clock.now_ms += 79_000
    assert twin_of(store, keyed("c", until_done=True)) == "task-a", "its time begins with the next attempt"
    delivery = run(store, "third")
    store.finish("third", [delivery.id])
    assert twin_of(store, keyed("d", until_done=True)) is None


def test_a_retry_into_another_queue_holds_the_key_for_its_time(store: Store, clock: BrokerClock) -> None:
    admit(store, keyed("a", until_done=True))
    delivery = run(store, "c")
    store.retry("c", delivery.id, Outgoing(queue="r", payload=b"p", message_id="a2", due_ms=0))
    assert twin_of(store, keyed("b", until_done=True)) == "task-a"
    clock.now_ms += 60_000
    assert twin_of(store, keyed("c", until_done=True)) is None


@pytest.mark.parametrize("until_done", [False, True])
def test_what_never_runs_gives_its_key_back(store: Store, until_done: bool) -> None:
    admit(store, keyed("a", until_done=until_done))
    assert not store.free_key("q", "key", "task-z"), "of another task"
    assert store.free_key("q", "key", "task-a")
    assert twin_of(store, keyed("b", until_done=until_done)) is None
    store.purge("q")
    assert twin_of(store, keyed("c", until_done=until_done)) is None


def test_nothing_is_left_of_a_key_whose_time_is_over(store: Store, clock: BrokerClock) -> None:
    for number in range(150):
        wanted = Uniqueness(digest=f"key{number}", task_id="t", within_s=10, until_done=bool(number % 2))
        admit(store, message(f"m{number}", Guard(uniqueness=wanted)))
    clock.now_ms += 10_000
    for _ in range(2):
        admit(store, keyed("last", until_done=False, within_s=5))
    names = store.queue_keys("q")
    assert [store.client.hlen(names.key("unique")), store.client.zcard(names.key("unique:expiry"))] == [1, 1]
    assert [store.client.hlen(names.key("deaths")), store.client.zcard(names.key("deaths:expiry"))] == [0, 0]


def test_what_waits_is_counted_wherever_it_waits(store: Store, clock: BrokerClock) -> None:
    for number in range(2):
        admit(store, bounded(f"{number}", 3, priority=9 * number))
    admit(store, bounded("later", 3, due_ms=clock.now_ms + 60_000))
    with pytest.raises(QueueFull) as refused:
        store.publish(bounded("over", 3))
    assert (refused.value.queue, refused.value.length, refused.value.bound) == ("q", 3, 3)
    assert waiting(store) == 3
    store.register("c", ["q"], ConsumerInfo(node="n", pid=1, version="0", started_ms=1))
    (held,) = store.claim("c", ["q"], sequence=1, credit=1).deliveries
    assert store.publish(bounded("over", 3)), "a refused publish that is tried again is no repeat"
    assert store.reject("c", held.id, "killed") is Fate.READY, "a redelivery is never refused"
    assert waiting(store) == 4
    store.publish(message("free", None))
    assert waiting(store) == 5, "nor is what has no bound"


def test_a_batch_is_published_as_far_as_there_is_room_and_says_which(store: Store) -> None:
    batch = [bounded(f"{number}", 3) for number in range(5)]
    with pytest.raises(BatchPublishError) as failed:
        store.publish_many(batch)
    assert (failed.value.accepted, failed.value.unknown, failed.value.refused) == ([0, 1, 2], [], [3, 4])
    assert isinstance(failed.value.__cause__, QueueFull)
    assert waiting(store) == 3


def test_the_newest_of_the_lowest_priority_is_shed_and_nothing_vanishes(store: Store) -> None:
    for id_, priority in (("low1", 9), ("low2", 9), ("middle", 3)):
        store.publish(bounded(id_, 3, sheds=True, priority=priority))
    kinds = [admit(store, bounded(f"high{n}", 3, sheds=True))[0].kind for n in range(4)]
    assert kinds == [Admittance.TAKEN, Admittance.TAKEN, Admittance.TAKEN, Admittance.SHED]
    letters = store.dead_letters("q")
    assert [letter.message_id for letter in letters] == ["low2", "low1", "middle", "high3"]
    assert {letter.reason for letter in letters} == {"shed"}
    assert [letter.priority for letter in letters] == [9, 9, 3, 0]
    assert letters[0].payload == (ENVELOPE % ("low2", "low2")).encode()
    assert [arrival.id for arrival in store.dead_arrivals("q").arrived] == [letter.id for letter in letters]
    assert (waiting(store), store.stats("q").counters["shed"]) == (3, 4)
    assert store.redrive("q", [letter.id for letter in letters]) == (4, 4), "a redrive is never refused"
    assert waiting(store) == 7


def test_what_is_shed_gives_its_key_back(store: Store) -> None:
    wanted = Uniqueness(digest="key", task_id="task-a", within_s=60, until_done=True)
    store.publish(message("a", Guard(uniqueness=wanted, bound=Bound(max_length=1, sheds=True)), priority=9))
    store.publish(bounded("high", 1, sheds=True))
    assert twin_of(store, keyed("b", until_done=True)) is None


def test_the_figures_of_a_queue_tell_of_twins_and_of_what_found_no_room(store: Store) -> None:
    admit(store, keyed("a", until_done=True))
    assert twin_of(store, keyed("b", until_done=True)) == "task-a"
    assert admit(store, bounded("full", 1))[0].kind is Admittance.FULL
    assert admit(store, bounded("shed", 1, sheds=True))[0].kind is Admittance.SHED
    observed = observe_queue(store, "q")
    told = {name: getattr(observed, field) for name, (field, _) in QUEUE_COUNTERS.items()}
    assert [told[name] for name in ("hive_twins", "hive_refused_full", "hive_shed")] == [1, 1, 1]


class Rush:
    """Eight producers on a bounded queue, one consumer, and one who counts what waits, each with a client of its own."""

    def __init__(self, server: RedisServer, sheds: bool) -> None:
        self.server, self.sheds, self.prefix = server, sheds, uuid.uuid4().hex + ":"
        self.is_over = threading.Event()
        self.refused, self.finished, self.most_waiting = [0] * 8, 0, 0

    def store(self) -> Store:
        client = self.server.client(retry=Retry(NoBackoff(), 0))
        return Store(client, layout=Layout(prefix=self.prefix), settings=DeliverySettings())

    def produce(self, place: int) -> None:
        store = self.store()
        for number in range(300):
            try:
                store.publish(bounded(f"{place}-{number}", 100, sheds=self.sheds, priority=9 if number % 2 else 0))
            except QueueFull:
                self.refused[place] += 1

    def consume(self) -> None:
        store, sequence = self.store(), itertools.count(1)
        store.register("c", ["q"], ConsumerInfo(node="n", pid=1, version="0", started_ms=1))
        while not self.is_over.is_set():
            store.renew("c", ["q"])
            taken = store.claim("c", ["q"], sequence=next(sequence), credit=20).deliveries
            store.finish("c", [one.id for one in taken])
            self.finished += len(taken)

    def count(self) -> None:
        """At one instant: what leaves one list while another is counted would be seen twice."""
        store = self.store()
        ready = store.queue_keys("q").ready
        script = "local n = 0; for _, key in ipairs(KEYS) do n = n + redis.call('LLEN', key) end return n"
        while not self.is_over.is_set():
            self.most_waiting = max(self.most_waiting, store.client.eval(script, len(ready), *ready))

    def run(self) -> None:
        producers = [threading.Thread(target=self.produce, args=(place,)) for place in range(8)]
        others = [threading.Thread(target=self.consume), threading.Thread(target=self.count)]
        for thread in (*others, *producers):
            thread.start()
        for thread in producers:
            thread.join()
        self.is_over.set()
        for thread in others:
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("sheds", [False, True])
def test_eight_producers_never_exceed_a_bound_and_nothing_vanishes(redis_server: RedisServer, sheds: bool) -> None:
    rush = Rush(redis_server, sheds)
    rush.run()
    store = rush.store()
    dead = store.dead_count("q")
    assert 90 <= rush.most_waiting <= 100
    assert rush.finished + waiting(store) + dead + sum(rush.refused) == 8 * 300
    assert (sum(rush.refused) == 0, dead > 0) == (sheds, sheds)
