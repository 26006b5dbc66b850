"""Publishing over kept connections: nothing is lost or doubled by a lost reply, a restart, threads or a fork."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from hive import Hive
from hive.store.faults import BrokerGoneError
from tests.support.redis_server import RedisServer

AT_ONCE = {"interval_start": 0, "interval_step": 0}


class Replies:
    """Loses the reply of the publish with the given number, from 1."""

    def __init__(self) -> None:
        self.count = 0
        self.lost: set[int] = set()

    def __call__(self, script: str, when: str) -> None:
        if (script, when) == ("publish", "after"):
            self.count += 1
            if self.count in self.lost:
                raise BrokerGoneError("the reply was lost")


@pytest.fixture
def queue() -> str:
    return f"q-{uuid.uuid4().hex[:8]}"


def make_app(url: str, queue: str) -> Any:
    app = Hive("producer", broker=url, set_as_current=False)
    app.conf.task_default_queue = queue
    app.conf.task_ignore_result = True

    @app.task(name="step", shared=False)
    def step(*args: Any) -> None:
        """Do nothing."""

    return app


@pytest.fixture
def app(redis_server: RedisServer, queue: str) -> Iterator[Any]:
    app = make_app(redis_server.url, queue)
    yield app
    app.close()


def test_a_lost_reply_is_repeated_by_kombu_and_dropped_by_the_broker(
    app: Any, queue: str, redis_server: RedisServer
) -> None:
    replies = app.process.at = Replies()
    step = app.tasks["step"]
    step.delay()
    replies.lost = {2}
    step.apply_async(retry_policy=AT_ONCE)
    step.delay()
    assert replies.count == 4
    assert redis_server.client().llen(queue) == 3


def test_without_retry_a_lost_reply_is_an_error(app: Any, queue: str, redis_server: RedisServer) -> None:
    replies = app.process.at = Replies()
    step = app.tasks["step"]
    step.delay()
    replies.lost = {2}
    with pytest.raises(OperationalError):
        step.apply_async(retry=False)
    assert replies.count == 2


def test_a_restarted_broker_is_found_again_even_without_retry(own_redis: RedisServer, queue: str) -> None:
    app = make_app(own_redis.url, queue)
    for _ in range(2):
        app.tasks["step"].delay()
    own_redis.restart()
    app.tasks["step"].apply_async(retry=False)
    app.tasks["step"].apply_async(retry=False)
    assert own_redis.client().llen(queue) >= 2
    app.close()


# In a process of its own, because kombu's pools are the process's: other tests would share them. Its arguments are the
# broker's address, the number of threads, and whether another application of the process uses its pool meanwhile.
THREADS = """
import json, sys, threading
import psutil
from hive import Hive

url, count, is_shared = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "shared"
other = Hive("other", broker=url, set_as_current=False)
held = other.pool.acquire(block=True) if is_shared else None
app = Hive("threads", broker=url, set_as_current=False)
app.conf.update(task_default_queue="q", task_ignore_result=True, broker_pool_limit=2)
together, errors = threading.Barrier(count), []

@app.task(name="step", shared=False)
def step():
    pass

def publish():
    together.wait()
    for _ in range(50):
        try:
            step.delay()
        except Exception as error:
            errors.append(repr(error))

def sockets():
    return sum(bool(found.raddr) for found in psutil.Process().net_connections("tcp"))

for _ in range(2):
    threads = [threading.Thread(target=publish) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
taken = sockets()
app.close()
print(json.dumps({"errors": errors, "taken": taken, "left": sockets()}))
"""


def publish_from_threads(url: str, count: int, pool: str) -> dict[str, Any]:
    command = [sys.executable, "-c", THREADS, url, str(count), pool]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def test_more_threads_than_producers_publish_each_message_once(own_redis: RedisServer) -> None:
    found = publish_from_threads(own_redis.url, 24, "alone")
    messages = own_redis.client().lrange("q", 0, -1)
    assert found["errors"] == []
    assert len({json.loads(message)["properties"]["delivery_tag"] for message in messages}) == len(messages) == 2_400
    # Two sockets for each of two producers of ours, and of two connections of Celery's pool, which outlives app.close().
    assert 2 <= found["taken"] <= 8
    assert found["left"] <= 4


def test_the_limit_of_connections_is_the_applications_own(own_redis: RedisServer) -> None:
    found = publish_from_threads(own_redis.url, 2, "shared")
    assert found["errors"] == []
    assert 2 <= found["taken"] <= 4
    assert found["left"] == 0


def test_a_forked_child_takes_connections_of_its_own(app: Any, queue: str, redis_server: RedisServer) -> None:
    step = app.tasks["step"]
    step.delay()
    step.delay()
    child = os.fork()
    if child == 0:
        step.delay()
        step.delay()
        os._exit(0)
    step.delay()
    assert os.waitpid(child, 0)[1] == 0
    step.delay()
    assert redis_server.client().llen(queue) == 6


def test_a_batch_goes_through_the_same_producers(app: Any, queue: str, redis_server: RedisServer) -> None:
    client = redis_server.client()
    with app.batch():
        for number in range(700):
            app.tasks["step"].delay(number)
        assert client.llen(queue) == 0
    assert client.llen(queue) == 700


def test_a_setting_changed_at_run_time_counts_at_once(app: Any, queue: str, redis_server: RedisServer) -> None:
    app.tasks["step"].delay()
    app.conf.task_default_queue = f"{queue}-other"
    app.tasks["step"].delay()
    app.conf.changes["task_default_queue"] = f"{queue}-third"
    app.tasks["step"].delay()
    app.conf.task_always_eager = True
    assert app.tasks["step"].delay().successful()
    client = redis_server.client()
    assert [client.llen(name) for name in (queue, f"{queue}-other", f"{queue}-third")] == [1, 1, 1]
