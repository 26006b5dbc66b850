"""What a worker sets aside for its garbage collector."""

import gc

import pytest

from hive import Hive
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.slow


def test_a_worker_sets_aside_what_lives_as_long_as_it_and_a_caller_does_not(own_redis: RedisServer) -> None:
    app = Hive("caller", broker=own_redis.url, backend=own_redis.url)
    with WorkerProcess(own_redis).ready():
        set_aside = app.send_task("tests.support.delivery_app.frozen").get(timeout=60)
    app.close()
    assert set_aside > 50_000
    assert gc.get_freeze_count() < 50_000
