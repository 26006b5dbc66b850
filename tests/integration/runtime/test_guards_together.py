"""Tasks that declare several guards at once: what one of them decides must not undo another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery.contrib.testing.worker import start_worker

from hive import Hive, LastGood
from hive.resilience.breaker import BreakerState
from hive.settings.load import load_settings
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


@pytest.fixture
def app(redis_server: RedisServer, tmp_path: Path) -> Iterator[Hive]:
    queue = f"together-{uuid4().hex}"
    settings = load_settings(broker={"key_prefix": f"{queue}:"}, breaker={"open_s": 60}, home=tmp_path)
    app = Hive(queue, broker=redis_server.url, backend=redis_server.url, set_as_current=False, settings=settings)
    app.conf.update(task_queues=None, task_default_queue=queue)
    yield app
    app.close()


def scheduled(app: Hive) -> list[bytes]:
    """What waits for its time, as it stands on the broker."""
    store = app.access.store
    (key,) = store.queue_keys(app.conf.task_default_queue).keys("scheduled:messages")
    found: Any = store.client.hvals(key)
    return list(found)


def test_a_call_whose_fallback_has_no_value_waits_for_its_keys_turn_as_well(app: Hive) -> None:
    @app.task(name="asks", shared=False, breaker="model", fallback=LastGood(), fair_key="{tenant}")
    def asks(tenant: str) -> str:
        return tenant

    app.access.store.breaker_force("model", BreakerState.OPEN)
    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False):
        asks.delay("large")
        eventually(lambda: scheduled(app), 10)
        (record,) = scheduled(app)
    assert record.startswith(b"0;large;1:")
