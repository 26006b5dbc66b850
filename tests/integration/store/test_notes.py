"""What the broker notes of messages that were put back by their tasks: for a time, whoever else is noted."""

import uuid

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.finishing import DEATHS_KEPT_MS
from hive.store.values import ConsumerInfo, Outcome, Outgoing, Start
from tests.support.redis_server import RedisServer

INFO = ConsumerInfo(node="celery@test", pid=1, version="0", started_ms=0)


def test_a_note_ends_with_its_time(redis_server: RedisServer) -> None:
    client, clock = redis_server.client(retry=never_repeating()), [1_700_000_000_000]
    layout = Layout(prefix=f"notes-{uuid.uuid4().hex[:6]}-")
    store = Store(client, layout=layout, settings=DeliverySettings(), now_ms=lambda: clock[0])
    for number in range(3):
        id_ = f"m{number}"
        store.register("c", ["q"], INFO)
        store.publish(Outgoing(queue="q", payload=b"{}", message_id=id_))
        (first,) = store.claim("c", ["q"], sequence=2 * number + 1, credit=1).deliveries
        store.start("c", [Start(id=first.id, message_id=id_)])
        assert store.requeue("c", [first.id], to_end=True) == (Outcome.DONE,)
        (second,) = store.claim("c", ["q"], sequence=2 * number + 2, credit=1).deliveries
        (started,) = store.start("c", [Start(id=second.id, message_id=id_)])
        assert started.put_back
        # It leaves by a door where nobody looks after notes.
        store.requeue("c", [second.id], to_end=True)
        store.purge("q")
        assert client.zcard(layout.queue("q").key("deaths", "expiry")) == 1
        clock[0] += DEATHS_KEPT_MS + 1
    client.close()
