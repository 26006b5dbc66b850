"""The names of limits on the broker: no more than are in use, however many users a fleet has had."""

import uuid

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.limiting import Granted, Wanted
from tests.support.redis_server import RedisServer


def test_the_name_of_a_limit_nobody_uses_any_more_is_forgotten(redis_server: RedisServer) -> None:
    client, clock = redis_server.client(retry=never_repeating()), [1_700_000_000_000]
    layout = Layout(prefix=f"names-{uuid.uuid4().hex[:6]}-")
    store = Store(client, layout=layout, settings=DeliverySettings(), now_ms=lambda: clock[0])

    def reserve(name: str) -> None:
        wanted = Wanted(name=name, most=5, window_ms=1_000, amount=1)
        assert isinstance(store.reserve_limits("who", [wanted]), Granted)

    for number in range(50):
        reserve(f"requests:1000:user-{number}")
    assert len(store.limits()) == 50
    clock[0] += 3_600_000
    reserve("requests:1000:user-0")
    assert client.zcard(layout.shared("hive:limits", "names")) == 1
    assert [limit.name for limit in store.limits()] == ["requests:1000:user-0"]
    client.close()
