"""What tests of real commands and workers share."""

from collections.abc import Iterator
from typing import Any

import pytest

from hive import Hive
from tests.support.redis_server import RedisServer


@pytest.fixture
def app(own_redis: RedisServer) -> Iterator[Any]:
    """An application that calls tasks by name, on the test's own broker."""
    app = Hive("caller", broker=own_redis.url, backend=own_redis.url)
    yield app
    app.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A broker of the module's own, for tests whose application reads its address at import."""
    server = RedisServer().start()
    yield server
    server.close()
