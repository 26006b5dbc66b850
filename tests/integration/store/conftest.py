"""A store under a key prefix of each test's own, by a clock that the test moves."""

import uuid
from collections.abc import Iterator

import pytest

from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from tests.support.broker_clock import BrokerClock
from tests.support.redis_server import RedisServer


@pytest.fixture
def clock() -> BrokerClock:
    return BrokerClock()


@pytest.fixture
def store(redis_server: RedisServer, clock: BrokerClock) -> Iterator[Store]:
    client = redis_server.client(retry=never_repeating())
    layout = Layout(prefix=f"{uuid.uuid4().hex[:8]}:")
    yield Store(client, layout=layout, settings=DeliverySettings(), now_ms=clock)
    client.close()
