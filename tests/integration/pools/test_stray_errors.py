"""Pools of one process with a real worker: errors that are no exceptions end their tasks, and take no slot with them."""

from collections.abc import Iterator
from typing import Any

import pytest

from hive import Hive
from hive.pools.names import ASYNCIO_POOL
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.slow

#: What Celery's own `-P custom` stands for.
ASYNCIO = {"CELERY_CUSTOM_WORKER_POOL": ASYNCIO_POOL}


@pytest.fixture
def app(own_redis: RedisServer) -> Iterator[Any]:
    app = Hive("caller", broker=own_redis.url, backend=own_redis.url)
    yield app
    app.close()


@pytest.mark.parametrize("pool", ["threads", "custom"])
def test_errors_that_are_no_exceptions_end_their_tasks_and_take_no_slot(
    app: Any, own_redis: RedisServer, pool: str
) -> None:
    with WorkerProcess(own_redis, pool=pool, concurrency=2, environment=ASYNCIO).ready():
        # More of each kind than there are slots.
        lost = [
            app.send_task(f"tests.support.delivery_app.{name}")
            for name in ("lose_its_loop", "stray", "stray_function", "leave")
            for _ in range(3)
        ]
        after = app.send_task("tests.support.delivery_app.add", (1, 2))
        assert after.get(timeout=60) == 3
        eventually(lambda: {result.state for result in lost} == {"FAILURE"}, what="all have failed")
        eventually(lambda: app.access.store.stats("celery").in_flight == 0, what="nothing is held")
        assert "CancelledError" in repr(lost[0].result)
