"""What scalers read from the broker and leave there."""

import json
import uuid

from hive.store import Store
from hive.store.leadership import Leadership
from hive.store.scaling import HISTORY_COUNT, SCALING
from hive.store.values import ConsumerInfo, Outgoing
from tests.support.broker_clock import BrokerClock

QUEUE = "work"
INFO = ConsumerInfo(node="n", pid=1, version="0", started_ms=0)


def _payload(at_ms: int) -> bytes:
    return json.dumps({"body": "x", "headers": {"eta": None}, "properties": {"hive_published_at_ms": at_ms}}).encode()


def test_demand_is_all_that_could_run_now_and_what_is_held(store: Store, clock: BrokerClock) -> None:
    now_ms = clock()
    assert store.demand([QUEUE])[0].waiting == 0
    messages = [
        Outgoing(queue=QUEUE, payload=_payload(now_ms - 4_000), message_id="a"),
        Outgoing(queue=QUEUE, payload=_payload(now_ms - 9_000), message_id="b", priority=9),
        Outgoing(queue=QUEUE, payload=_payload(now_ms), message_id="due", due_ms=now_ms + 1_000),
        Outgoing(queue=QUEUE, payload=_payload(now_ms), message_id="later", due_ms=now_ms + 90_000),
    ]
    store.publish_many(messages)
    seen, other = store.demand([QUEUE, "other"])
    assert (seen.queue, seen.waiting, seen.held, seen.consumers, seen.oldest_wait_s) == (QUEUE, 2, 0, 0, 9.0)
    assert (other.queue, other.waiting, other.oldest_wait_s) == ("other", 0, 0.0)
    # Due and not promoted by anybody: it waits all the same.
    clock.now_ms += 2_000
    assert store.demand([QUEUE])[0].waiting == 3
    consumer = uuid.uuid4().hex
    store.register(consumer, [QUEUE], INFO)
    assert len(store.claim(consumer, [QUEUE], sequence=1, credit=2, idle=False).deliveries) == 2
    seen = store.demand([QUEUE])[0]
    assert (seen.waiting, seen.held, seen.consumers) == (1, 2, 1)
    clock.now_ms += 3_600_000
    # What it held is there still, for nobody has returned it.
    seen = store.demand([QUEUE])[0]
    assert (seen.consumers, seen.held) == (0, 2)


def test_a_term_that_has_ended_records_nothing(store: Store, clock: BrokerClock) -> None:
    first, second = (Leadership(store, SCALING, name, 5) for name in "ab")
    old = first.campaign()
    assert old is not None
    assert store.record_scaling("t", '{"n": 1}', term=old.number, changed=True)
    # Its lease is over and nobody has taken over: nobody can have decided otherwise.
    clock.now_ms += 6_000
    assert store.record_scaling("t", '{"n": 2}', term=old.number, changed=False)
    new = second.campaign()
    assert new is not None
    assert not store.record_scaling("t", '{"n": 3}', term=old.number, changed=True)
    assert store.scaling_sizes() == {"t": b'{"n": 2}'}
    assert store.scaling_history("t") == [b'{"n": 1}']
    assert store.record_scaling("t", '{"n": 4}', term=new.number, changed=True)
    # What a worker decides for itself is history, and no size of the fleet.
    assert store.record_scaling("t", '{"n": 5}', term=None, changed=True)
    assert store.scaling_sizes() == {"t": b'{"n": 4}'}
    assert store.scaling_history("t", 2) == [b'{"n": 5}', b'{"n": 4}']


def test_the_history_is_bounded(store: Store) -> None:
    for number in range(HISTORY_COUNT + 5):
        store.record_scaling("t", str(number), term=None, changed=True)
    kept = store.scaling_history("t", 1_000)
    assert (len(kept), kept[0], kept[-1]) == (HISTORY_COUNT, b"%d" % (HISTORY_COUNT + 4), b"5")


def test_sizes_that_somebody_asked_for(store: Store) -> None:
    assert store.size_overrides(["t", "u"]) == {}
    store.override_size("t", 7)
    store.override_size("t", 8)
    assert store.size_overrides(["t", "u"]) == {"t": 8}
    assert store.own_demand([QUEUE], "w@h", "t") == (0, 8)
    store.override_size("t", None)
    assert store.own_demand([QUEUE], "w@h", "t") == (0, None)


def test_arrivals_are_kept_by_the_minute_for_a_week(store: Store) -> None:
    week = 7 * 24 * 60
    store.note_arrivals(1_000, {"t": 5, "u": 1})
    # A repeat, or two scalers in one minute: what saw more counts.
    store.note_arrivals(1_000, {"t": 3})
    store.note_arrivals(1_002, {"t": 4})
    assert store.arrivals("t", 0) == {1_000: 5, 1_002: 4}
    assert store.arrivals("t", 1_001) == {1_002: 4}
    store.note_arrivals(1_001 + week, {"t": 1})
    assert store.arrivals("t", 0) == {1_002: 4, 1_001 + week: 1}
