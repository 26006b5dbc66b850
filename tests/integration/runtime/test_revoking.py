"""Revoking tasks that wait on the broker, with no worker there to remember it."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import states

from hive import Hive
from tests.support.redis_server import RedisServer


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[Any]:
    app = Hive("revoking", broker=redis_server.url, backend=redis_server.url, set_as_current=False)
    app.conf.task_default_queue = f"q-{uuid.uuid4().hex[:8]}"

    @app.task(name="later", shared=False)
    def later() -> None:
        """Do nothing."""

    yield app
    app.close()


def test_revoked_tasks_leave_the_scheduled_set_and_others_stay(app: Any, redis_server: RedisServer) -> None:
    queue = "celery" if "celery" in app.amqp.queues else app.conf.task_default_queue
    scheduled = f"{{{queue}}}:hive:scheduled"
    with app.batch():
        # More than one page, so that all of them are looked through.
        tasks = [app.tasks["later"].apply_async(countdown=86_400, queue=queue) for _ in range(510)]
    app.control.revoke(tasks[0].id)
    app.control.revoke([tasks[508].id, tasks[509].id, "unknown"])
    client = redis_server.client()
    assert client.zcard(scheduled) == client.hlen(f"{scheduled}:messages") == 507
    assert {tasks[place].state for place in (0, 508, 509)} == {states.REVOKED}
    assert tasks[1].state == states.PENDING
    client.delete(scheduled, f"{scheduled}:messages")
