"""Keys that take turns, on a real server against a plain model: nothing lost or doubled, in turn, in order within a key."""

import json
import random
from collections import Counter, defaultdict
from itertools import count

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from hive.errors import InputError, QueueFull
from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.guard import Bound, Guard
from hive.store.turn import Fair
from hive.store.values import ConsumerInfo, DeliveryId, Due, Following, Outcome, Outgoing, Source, Start
from tests.conftest import SEED
from tests.support.redis_server import RedisServer

NUMBER = count()
INFO = ConsumerInfo(node="n", pid=1, version="0", started_ms=0)
KEYS = ("large", "small", "odd: {;}:é")
STEPS = (0, 3, 6, 9)


class Queue:
    """One queue under a test's clock, and where the model says each message is."""

    def __init__(self, server: RedisServer) -> None:
        self.now_ms = 1_700_000_000_000
        self.store = Store(
            server.client(retry=never_repeating()),
            layout=Layout(prefix=f"turns{next(NUMBER)}-"),
            settings=DeliverySettings(),
            now_ms=lambda: self.now_ms,
            run_id=lambda: "run",
        )
        self.store.register("c", ["q"], INFO)
        self.sequence = 0
        self.numbers = count()
        #: Messages that wait, by priority and key, oldest first; those without a key under the empty one.
        self.waiting: dict[tuple[int, str], list[str]] = defaultdict(list)
        self.held: dict[str, tuple[DeliveryId, int, str]] = {}

    def publish(self, key: str, priority: int = 0, due_in_ms: int | None = None, weight: float = 1.0) -> str:
        name = f"{key}/{next(self.numbers)}"
        message = Outgoing(
            queue="q",
            payload=name.encode(),
            message_id=name,
            priority=priority,
            dedup_id=name,
            due_ms=None if due_in_ms is None else self.now_ms + due_in_ms,
            fair=Fair.checked(key, weight) if key else None,
        )
        assert self.store.publish(message)
        assert not self.store.publish(message)
        self.waiting[priority, key].append(name)
        return name

    def claim(self, credit: int = 1) -> list[str]:
        self.sequence += 1
        claim = self.store.claim("c", ["q"], sequence=self.sequence, credit=credit)
        again = self.store.claim("c", ["q"], sequence=self.sequence, credit=credit)
        assert sorted(again.deliveries) == sorted(claim.deliveries)
        taken = []
        for delivery in claim.deliveries:
            name = delivery.payload.decode()
            key = name.rpartition("/")[0]
            self.waiting[delivery.priority, key].remove(name)
            self.held[name] = (delivery.id, delivery.priority, key)
            taken.append(name)
        return taken

    def finish(self, name: str) -> None:
        self.store.finish("c", [self.held.pop(name)[0]])

    @property
    def count(self) -> int:
        return sum(map(len, self.waiting.values()))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from([*KEYS, ""]), st.sampled_from(STEPS)),
        st.tuples(st.just("publish later"), st.sampled_from(KEYS), st.sampled_from(STEPS)),
        st.tuples(st.just("claim"), st.integers(1, 5), st.none()),
        st.tuples(st.just("back"), st.integers(0, 9), st.sampled_from(["requeue", "reschedule", "die"])),
        st.tuples(st.just("renew"), st.none(), st.none()),
        st.tuples(st.just("purge"), st.none(), st.none()),
    ),
    max_size=50,
)


def back(queue: Queue, place: int, how: str) -> None:
    """Let a held message go back, and note where it waits then."""
    if not queue.held:
        return
    name = sorted(queue.held)[place % len(queue.held)]
    id_, priority, key = queue.held.pop(name)
    if how == "requeue":
        queue.store.requeue("c", [id_])
    elif how == "die":
        queue.store.start("c", [Start(id=id_, message_id=name)])
        queue.store.reject("c", id_, "killed")
    else:
        fair = Fair(key) if key else None
        queue.store.reschedule_many("c", [Due(id=id_, message_id=name, due_ms=queue.now_ms, fair=fair)])
    queue.waiting[priority, key].append(name)


@seed(SEED)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=steps)
def test_every_message_is_in_one_place_and_all_come_out(redis_server: RedisServer, plan: list[tuple]) -> None:  # type: ignore[type-arg]
    queue = Queue(redis_server)
    for kind, first, second in plan:
        if kind.startswith("publish"):
            queue.publish(first, second, due_in_ms=0 if kind == "publish later" else None)
        elif kind == "claim":
            taken = queue.claim(first)
            assert len(taken) == min(first, queue.count + len(taken))
        elif kind == "back":
            back(queue, first, second)
        elif kind == "renew":
            queue.store.renew("c", ["q"])
        else:
            purged = queue.store.purge("q")
            assert purged.ready + purged.behind + purged.scheduled + purged.suspects == queue.count
            queue.waiting.clear()
        stats = queue.store.stats("q")
        assert sum(stats.ready.values()) + stats.behind + stats.scheduled + stats.suspects == queue.count
        assert sum(queue.store.waiting_by_key("q").values()) == stats.behind
        assert stats.behind == 0 or sum(stats.ready.values()) > 0 or kind.startswith("publish")
    while queue.count:
        # A message on its last start comes alone, to an idle process.
        for name in list(queue.held):
            queue.finish(name)
        queue.sequence += 1
        claim = queue.store.claim("c", ["q"], sequence=queue.sequence, credit=100, idle=True)
        assert claim.deliveries
        for delivery in claim.deliveries:
            name = delivery.payload.decode()
            queue.waiting[delivery.priority, name.rpartition("/")[0]].remove(name)
            queue.store.finish("c", [delivery.id])
    left = {key.decode() for key in queue.store.client.keys(f"{queue.store.layout.prefix}*fair*")}
    assert all(name.endswith("fair:turns") for name in left), left
    assert all(queue.store.client.pttl(name) > 0 for name in left)


def test_a_small_key_waits_for_two_messages_of_a_thousand_times_larger_one(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    for _ in range(1_000):
        queue.publish("large")
    for _ in range(10):
        queue.claim()
    name = queue.publish("small")
    taken = [queue.claim()[0] for _ in range(3)]
    # One of the large key was in the ready list; it is passed.
    assert taken.index(name) == 0
    again = queue.publish("small")
    assert again in [queue.claim()[0] for _ in range(2)]


def test_new_keys_that_come_all_the_time_keep_nobody_waiting(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    for _ in range(20):
        queue.publish("large")
    taken = []
    for number in range(60):
        queue.publish(f"new{number}")
        taken += queue.claim()
    assert sum(name.startswith("large") for name in taken) >= 1
    assert {f"new{number}" for number in range(25)} <= {name.partition("/")[0] for name in taken}


def test_a_key_alone_keeps_its_order_however_long_nobody_claims(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    names = [queue.publish("a")]
    # As if its turn had been forgotten.
    queue.store.client.delete(queue.store.queue_keys("q").key("fair", "turns"))
    names += [queue.publish("a") for _ in range(3)]
    assert [queue.claim()[0] for _ in range(4)] == names


def test_keys_alternate_by_weight_and_keep_their_own_order(redis_server: RedisServer, rng: random.Random) -> None:
    queue = Queue(redis_server)
    published = [queue.publish(key, weight=weight) for key, weight in [("a", 1), ("b", 3)] * 60]
    rng.shuffle(published)
    taken = [name for _ in range(40) for name in queue.claim(rng.randrange(1, 4))][:60]
    share = Counter(name.partition("/")[0] for name in taken)
    assert 2.5 <= share["b"] / share["a"] <= 3.5
    for key in ("a", "b"):
        numbers = [int(name.partition("/")[2]) for name in taken if name.startswith(key)]
        assert numbers == sorted(numbers)


def test_a_key_that_publishes_one_by_one_is_not_first_each_time(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    for _ in range(50):
        queue.publish("large")
    taken = []
    for _ in range(40):
        if not queue.waiting[0, "small"]:
            queue.publish("small")
        taken += queue.claim()
    assert sum(name.startswith("small") for name in taken) <= 21


def test_what_was_scheduled_or_follows_waits_for_its_turn_as_well(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    for _ in range(10):
        queue.publish("large", due_in_ms=0)
    (first,) = queue.claim()
    assert queue.store.stats("q").behind == 8
    id_, _, _ = queue.held.pop(first)
    again = Outgoing(queue="q", payload=b"large/again", message_id="again", fair=Fair("large"))
    queue.store.start("c", [Start(id=id_, message_id=first)])
    step = Outgoing(queue="q", payload=b"large/step", message_id="step", fair=Fair("large"))
    assert queue.store.follow(Source(consumer="c", delivery=id_, message_id=first), step) is Following.PUBLISHED
    assert queue.store.retry("c", id_, again) is Outcome.DONE
    queue.waiting[0, "large"] += ["large/step", "large/again"]
    small = queue.publish("small")
    assert queue.claim() == [small]
    assert queue.store.stats("q").behind == 10
    rest = [queue.claim()[0] for _ in range(11)]
    assert set(rest[-2:]) == {"large/step", "large/again"}


@pytest.mark.parametrize("how", ["redrive", "postpone"])
def test_what_was_redriven_or_waited_for_code_waits_for_its_turn_as_well(redis_server: RedisServer, how: str) -> None:
    queue = Queue(redis_server)
    store, key = queue.store, "odd: {;}:\u00e9"
    headers = {"hive_fair_key": key, "hive_fair_weight": 2.0}
    payload = json.dumps({"headers": headers, "properties": {"delivery_tag": "m"}}).encode()
    store.publish(Outgoing(queue="q", payload=payload, message_id="m", fair=Fair(key, 2.0)))
    (delivery,) = store.claim("c", ["q"], sequence=1, credit=1).deliveries
    for _ in range(20):
        queue.publish(key)
    if how == "redrive":
        store.dead_letter("c", delivery.id, reason="r", cause="c", message_id="m")
        assert store.redrive("q", store.dead_ids("q")) == (1, 1)
    else:
        store.postpone("c", delivery.id, "m", grace_s=60, look_s=0)
    came = [one for number in range(2, 23) for one in store.claim("c", ["q"], sequence=number, credit=1).deliveries]
    # Not before those of its key that came first.
    assert [one.payload for one in came].index(payload) == len(came) - 1
    assert len(came) == 21


def test_what_waits_for_its_turn_counts_in_the_bound_of_a_queue(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    for _ in range(5):
        queue.publish("a")
    bounded = Guard(bound=Bound(max_length=6))
    queue.store.publish(Outgoing(queue="q", payload=b"6", message_id="6", fair=Fair("a"), guard=bounded))
    with pytest.raises(QueueFull):
        queue.store.publish(Outgoing(queue="q", payload=b"7", message_id="7", fair=Fair("a"), guard=bounded))


def test_higher_priority_comes_before_any_turn(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    for _ in range(5):
        queue.publish("a", 6)
    high = [queue.publish("a", 0), queue.publish("b", 0)]
    assert sorted(queue.claim(2)) == high


def test_messages_without_a_key_neither_starve_nor_keep_others_waiting(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    for _ in range(100):
        queue.publish("")
        queue.publish("a")
    taken = [queue.claim()[0] for _ in range(100)]
    assert 40 <= sum(name.startswith("a/") for name in taken) <= 60


def test_a_queue_is_given_back_whole(redis_server: RedisServer) -> None:
    queue = Queue(redis_server)
    names = {queue.publish(key, priority) for key in KEYS for priority in STEPS for _ in range(3)}
    released = queue.store.release_queue("q")
    assert released.remaining == 0
    assert released.behind >= len(names) - 2
    lists = queue.store.queue_keys("q").ready
    assert {name.decode() for key in lists for name in queue.store.client.lrange(key, 0, -1)} == names
    assert [queue.store.client.llen(key) for key in lists] == [9, 9, 9, 9]


@pytest.mark.parametrize(("key", "weight"), [("", 1), ("x" * 201, 1), ("a", 0), ("a", 1e9)])
def test_a_key_that_cannot_take_turns_is_refused(key: str, weight: float) -> None:
    with pytest.raises(InputError):
        Fair.checked(key, weight)
