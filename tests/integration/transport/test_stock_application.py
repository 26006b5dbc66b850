"""A stock Celery application in a process where hive's transport is installed."""

import uuid

from celery import Celery

from hive import Hive
from tests.support.redis_server import RedisServer


def test_its_eta_tasks_stay_where_a_stock_worker_looks_for_them(redis_server: RedisServer) -> None:
    queue = f"stock-{uuid.uuid4().hex}"
    Hive("ours", set_as_current=False)
    stock = Celery("theirs", broker=redis_server.url, set_as_current=False)
    stock.send_task("theirs.later", countdown=600, queue=queue)
    assert redis_server.client().llen(queue) == 1


def test_ours_wait_in_the_scheduled_set(redis_server: RedisServer) -> None:
    queue = f"hive-{uuid.uuid4().hex}"
    ours = Hive("ours", broker=redis_server.url, set_as_current=False)
    ours.send_task("ours.later", countdown=600, queue=queue)
    assert redis_server.client().llen(queue) == 0
    assert redis_server.client().zcard(f"{{{queue}}}:hive:scheduled") == 1
