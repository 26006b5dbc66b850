"""What a worker asks of the broker while it has nothing to do, and that it is awake again when it has."""

import json
import threading
from typing import Any

import pytest

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

OVER_S = 5.0


def scripts(client: Any) -> int:
    return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


def test_a_lone_worker_rests_and_is_awake_at_once(app: Any, own_redis: RedisServer) -> None:
    client = own_redis.client()
    with WorkerProcess(own_redis, pool="prefork", concurrency=1).ready():

        def rests() -> bool:
            return any(json.loads(lane.load).get("rests_s") for lane in app.access.store.lanes("celery"))

        eventually(rests, what="it says that it rests")
        before, (began_s, _) = scripts(client), client.time()
        threading.Event().wait(OVER_S)
        asked, (ended_s, _) = scripts(client) - before, client.time()
        # A renewal and a look every 2.25 s, a claim every 3 s, a report and a look at lanes every 5 s: 1.6 a second.
        assert asked <= 2.6 * (ended_s - began_s + 1)
        assert app.send_task("tests.support.delivery_app.add", (1, 2)).get(timeout=60) == 3
        with WorkerProcess(own_redis, concurrency=1).ready():

            def rested() -> list[bool]:
                return [bool(json.loads(lane.load).get("rests_s")) for lane in app.access.store.lanes("celery")]

            eventually(lambda: rested() == [False, False], what="two of them report as often as all")
