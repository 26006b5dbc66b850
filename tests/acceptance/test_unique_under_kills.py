"""One task for each key, which ends once, whatever is published at the same time and whatever is killed."""

import random
import threading

import pytest

from hive import Hive
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import QUICK, WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

KEYS, PRODUCERS, PUBLISHES = 60, 8, 120


def test_every_key_is_one_task_that_ends_once(app: Hive, own_redis: RedisServer, rng: random.Random) -> None:
    ids: dict[int, set[str]] = {key: set() for key in range(KEYS)}
    orders = [[number % KEYS for number in range(PUBLISHES)] for _ in range(PRODUCERS)]

    def produce(order: list[int]) -> None:
        for key in order:
            call = app.send_task("tests.support.delivery_app.once", (key,), idempotency_key=f"{key}")
            ids[key].add(call.id)

    environment = {**QUICK, "HIVE_HOME": str(own_redis.directory / "home")}
    workers = [WorkerProcess(own_redis, environment=environment) for _ in range(2)]
    try:
        for worker in workers:
            worker.ready()
        producers = []
        for order in orders:
            rng.shuffle(order)
            producers.append(threading.Thread(target=produce, args=(order,)))
        for thread in producers:
            thread.start()
        eventually(lambda: len(traces(own_redis)) > KEYS // 4, what="some to have begun")
        workers[0].kill()
        for thread in producers:
            thread.join()
        found = [next(iter(known)) for known in ids.values()]
        assert [len(known) for known in ids.values()] == [1] * KEYS
        eventually(lambda: all(app.AsyncResult(id_).state == "SUCCESS" for id_ in found), what="all to have ended")
    finally:
        for worker in workers:
            worker.kill()
    assert [app.AsyncResult(id_).result for id_ in found] == list(range(KEYS))
    assert set(traces(own_redis)) == set(found), "nothing else ran"
    assert app.access.store.stats("celery").counters["twins"] == PRODUCERS * PUBLISHES - KEYS
