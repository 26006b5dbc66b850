"""The pool of threads with a real worker: errors that are no exceptions end their tasks, and take no slot with them."""

from collections.abc import Iterator
from typing import Any

import pytest

from hive import Hive
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def app(own_redis: RedisServer) -> Iterator[Any]:
    app = Hive("caller", broker=own_redis.url, backend=own_redis.url)
    yield app
    app.close()


def test_a_task_whose_loop_is_cancelled_fails_and_gives_its_slot_back(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, pool="threads", concurrency=2).ready():
        lost = [app.send_task("tests.support.delivery_app.lose_its_loop") for _ in range(6)]
        after = app.send_task("tests.support.delivery_app.add", (1, 2))
        assert after.get(timeout=20) == 3
        eventually(lambda: {result.state for result in lost} == {"FAILURE"}, 10, what="all have failed")
        eventually(lambda: app.access.store.stats("celery").in_flight == 0, 5, what="nothing is held")
        assert "CancelledError" in repr(lost[0].result)
