"""A reap of what a process held takes many batches, and the order is that of one."""

from hive.store import Store
from hive.store.reaping import REAP_MESSAGES
from hive.store.values import ConsumerInfo, Outgoing
from tests.support.broker_clock import BrokerClock

COUNT = 3 * REAP_MESSAGES + 7


def test_what_a_process_held_goes_back_in_its_order(store: Store, clock: BrokerClock) -> None:
    store.register("dead", ["q"], ConsumerInfo(node="n", pid=1, version="0", started_ms=0))
    store.publish_many([Outgoing(queue="q", payload=b"%d" % n, message_id=f"{n}") for n in range(COUNT)])
    for sequence in range(1, COUNT):
        if not store.claim("dead", ["q"], sequence=sequence, credit=100).deliveries:
            break
    for _ in range(10):
        clock.now_ms += 1_000
        store.tick(["q"])
    counts = [store.reap("q", "dead").returned for _ in range(4)]
    assert counts == [REAP_MESSAGES] * 3 + [7]
    ready = store.client.lrange(store.queue_keys("q").ready[0], 0, -1)
    assert ready == [b"%d" % n for n in reversed(range(COUNT))]
