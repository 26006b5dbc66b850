"""Repeats of publishes within a batch, and of a batch: each message once for a window and one more, in order."""

from hive.settings.parts import DeliverySettings
from hive.store import Store
from hive.store.values import Outgoing
from tests.support.broker_clock import BrokerClock

WINDOW_MS = round(DeliverySettings().publish_dedup_s * 1000)


def messages(*ids: str | None, priority: int = 0) -> list[Outgoing]:
    return [
        Outgoing(queue="q", payload=str(one).encode(), message_id=str(one), dedup_id=one, priority=priority)
        for one in ids
    ]


def ready(store: Store, step: int = 0) -> list[bytes]:
    found: list[bytes] = store.client.lrange(store.queue_keys("q").ready[step], 0, -1)
    return found[::-1]


def test_a_batch_keeps_its_order_in_each_step_and_drops_what_it_holds_twice(store: Store) -> None:
    batch = [*messages("a", "b"), *messages("c", priority=6), *messages("a", None, None, "d")]
    assert store.publish_many(batch) == (True, True, True, False, True, True, True)
    assert ready(store) == [b"a", b"b", b"None", b"None", b"d"]
    assert ready(store, 2) == [b"c"]
    assert store.publish_many([*batch, *messages("e")]) == (False, False, False, False, True, True, False, True)
    assert int(store.client.hget(store.queue_keys("q").key("counters"), "deduplicated")) == 6


def test_a_repeat_is_known_for_one_window_more_however_it_comes(store: Store, clock: BrokerClock) -> None:
    store.publish(messages("alone")[0])
    store.publish_many(messages("a", "b"))
    clock.now_ms += WINDOW_MS
    assert store.publish_many(messages("alone", "a", "c")) == (False, False, True)
    assert not store.publish(messages("b")[0])
    clock.now_ms += WINDOW_MS
    assert store.publish_many(messages("c", "a", "b", "alone")) == (False, True, True, True)
    clock.now_ms += 5 * WINDOW_MS
    assert store.publish(messages("c")[0])
    assert store.publish_many(messages("c", "a")) == (False, True)
