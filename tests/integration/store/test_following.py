"""What follows from a delivery: published once for all deliveries of its message, and only by who holds it."""

import json
from dataclasses import replace

from hive.store import Store
from hive.store.finishing import DEATHS_KEPT_MS
from hive.store.values import ConsumerInfo, DeliveryId, Following, Outcome, Outgoing, Source, Start
from tests.support.broker_clock import BrokerClock

INFO = ConsumerInfo(node="celery@test", pid=7, version="1.0", started_ms=5)
NEXT = Outgoing(queue="next", payload=b"step", message_id="n1", dedup_id="step")


def begin(store: Store, consumer: str) -> Source:
    """Claim and start the one message there is."""
    store.register(consumer, ["q"], INFO)
    (one,) = store.claim(consumer, ["q"], sequence=1, credit=9, idle=True).deliveries
    assert store.start(consumer, [Start(id=one.id, message_id="m")])[0].outcome is Outcome.DONE
    return Source(consumer=consumer, delivery=one.id, message_id="m")


def test_a_step_is_published_once_for_all_deliveries_however_long_they_are_apart(
    store: Store, clock: BrokerClock
) -> None:
    store.publish(Outgoing(queue="q", payload=b"parent", message_id="m"))
    first = begin(store, "c1")
    assert store.follow(first, NEXT) is Following.PUBLISHED
    assert store.follow(first, replace(NEXT, message_id="n2")) is Following.REPEAT
    store.reject("c1", first.delivery, "killed")
    # Its body runs again, for longer than any window.
    clock.now_ms += 3_600_000
    second = begin(store, "c2")
    assert store.follow(second, replace(NEXT, message_id="n3")) is Following.REPEAT
    assert store.follow(second, replace(NEXT, dedup_id="other")) is Following.PUBLISHED
    assert store.stats("next").ready[0] == 2
    # The count of starts goes on beside the steps, and both end with the message.
    deaths, expiry = store.queue_keys("q").keys("deaths", "deaths:expiry")
    assert json.loads(store.client.hget(deaths, "m"))["count"] == 1
    assert store.finish("c2", [second.delivery]) == (Outcome.DONE,)
    assert store.client.exists(deaths, expiry) == 0


def test_what_is_kept_of_steps_ends_with_its_time_if_the_message_is_purged(store: Store, clock: BrokerClock) -> None:
    store.publish(Outgoing(queue="q", payload=b"parent", message_id="m"))
    first = begin(store, "c1")
    store.follow(first, NEXT)
    store.requeue("c1", [first.delivery])
    store.purge("q")
    deaths, expiry = store.queue_keys("q").keys("deaths", "deaths:expiry")
    assert store.client.zscore(expiry, "m") == clock.now_ms + DEATHS_KEPT_MS
    assert store.client.pttl(deaths) > 0 < store.client.pttl(expiry)


def test_nothing_follows_from_a_delivery_that_is_not_held(store: Store) -> None:
    store.publish(Outgoing(queue="q", payload=b"parent", message_id="m"))
    held = begin(store, "c1")
    stranger = replace(held, consumer="c2")
    assert store.follow(stranger, NEXT) is Following.STALE
    ended = replace(held, delivery=DeliveryId(queue="q", token=held.delivery.token - 1))
    assert store.follow(ended, NEXT) is Following.ALREADY
    assert store.stats("next").ready[0] == 0
    assert store.stats("q").counters["refused"] == 1


def test_a_step_with_a_due_time_waits(store: Store, clock: BrokerClock) -> None:
    store.publish(Outgoing(queue="q", payload=b"parent", message_id="m"))
    source = begin(store, "c1")
    assert store.follow(source, replace(NEXT, priority=6, due_ms=clock.now_ms + 9_000)) is Following.PUBLISHED
    (waiting,) = store.scheduled("next")
    assert (waiting.message_id, waiting.due_ms, waiting.priority, waiting.payload) == (
        "n1",
        clock.now_ms + 9_000,
        6,
        b"step",
    )


def test_past_a_thousand_steps_repeats_are_known_for_the_window_only(store: Store, clock: BrokerClock) -> None:
    store.publish(Outgoing(queue="q", payload=b"parent", message_id="m"))
    source = begin(store, "c1")
    deaths = f"{store.layout.prefix}{{q}}:hive:deaths"
    record = json.dumps({"count": 0, "history": [], "steps": [str(n) for n in range(1000)]})
    store.client.hset(deaths, "m", record)
    assert [store.follow(source, NEXT) for _ in range(2)] == [Following.PUBLISHED, Following.REPEAT]
    assert store.client.hget(deaths, "m") == record.encode()
    store.renew("c1", ["q"])
    clock.now_ms += 120_000
    assert store.follow(source, NEXT) is Following.PUBLISHED


def test_purge_forgets_what_was_published_and_a_wake_token_ends_by_itself(store: Store) -> None:
    message = Outgoing(queue="q", payload=b"x", message_id="m", dedup_id="d")
    assert [store.publish(message), store.publish(message)] == [True, False]
    assert 0 < store.client.pttl(store.wake_keys(["q"])[0]) <= 60_000
    store.purge("q")
    assert store.publish(message)
