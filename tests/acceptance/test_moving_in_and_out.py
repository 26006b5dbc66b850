"""A queue goes from stock Celery to hive and back; what the commands show is what is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hive.settings.parts import DeliverySettings
from hive.store.keys import Layout
from hive.store.store import Store
from hive.store.values import ConsumerInfo
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

APP = """
import os
from hive import Hive
app = Hive("moving", broker=os.environ["MOVING_BROKER"])
app.conf.task_queues = None
app.conf.task_default_queue = "moving"

@app.task(name="moving.work")
def work(number): ...
"""

#: Stock Celery, in a process where nobody has heard of hive: takes what there is, and says what it got.
STOCK = """
import json, sys
from celery import Celery
app = Celery(broker=sys.argv[1])
app.conf.task_default_queue = "moving"
with app.connection_for_write() as connection:
    queue = app.amqp.queues["moving"](connection.channel())
    queue.declare()
    if sys.argv[2] == "hold":
        for number in range(3):
            app.send_task("moving.work", (f"stock{number}",))
        held = [queue.get() for _ in range(3)]
        assert all(held)
    else:
        got = iter(lambda: queue.get(no_ack=True), None)
        print(json.dumps(sorted(str(message.decode()[0][0]) for message in got)))
    sys.stdout.flush()
    import os
    os._exit(0)  # a death: nothing is restored on the way out
"""


@pytest.fixture
def directory(tmp_path: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the application, and the variables its commands run under."""
    (tmp_path / "moving.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOVING_BROKER", own_redis.url)
    return tmp_path


def hive(*arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hive", *arguments, "--app", "moving:app"], capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, done.stderr
    return done.stdout if expect == 0 else done.stderr


def listed() -> dict[str, object]:
    (row,) = json.loads(hive("queue", "list", "--json"))
    return row


def stock(server: RedisServer, what: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", STOCK, server.url, what], capture_output=True, text=True, check=True
    ).stdout


def publish(code: str) -> None:
    subprocess.run([sys.executable, "-c", f"from moving import work; {code}"], check=True, env=os.environ.copy())


def a_store(server: RedisServer) -> Store:
    client: redis.Redis = server.client(retry=Retry(NoBackoff(), 0))
    return Store(client, layout=Layout(), settings=DeliverySettings(lease_s=1.5, renew_every_s=0.5))


def test_everything_that_waits_goes_back_to_stock_celery(directory: Path, own_redis: RedisServer) -> None:
    publish("[work.delay(n) for n in range(4)]; work.apply_async(('later',), countdown=3600)")
    store = a_store(own_redis)
    store.register("dying", ["moving"], ConsumerInfo(node="here", pid=1, version="0", started_ms=1))
    first, _second = store.claim("dying", ["moving"], sequence=1, credit=2).deliveries
    store.dead_letter("dying", first.id, reason="undecodable", cause="a test")
    before = listed()
    assert {key: before[key] for key in ("ready", "scheduled", "in_flight", "dead", "consumers")} == {
        "ready": 2, "scheduled": 1, "in_flight": 1, "dead": 1, "consumers": 1,
    }  # fmt: skip
    assert 0 <= float(str(before["oldest_age_s"])) < 60
    assert "stop them first" in hive("queue", "release", expect=2)

    eventually(lambda: store.consumers("moving")[0].lease_end_ms < store.server_time_ms(), what="the lease has ended")
    (moved,) = json.loads(hive("queue", "release", "--anyway", "--json"))
    assert moved == {"queue": "moving", "scheduled": 1, "in_flight": 1, "suspects": 0, "dead": 1, "behind": 0, "lanes": 0, "held": 0}  # fmt: skip
    assert json.loads(stock(own_redis, "take")) == ["0", "1", "2", "3", "later"]


def test_what_a_dead_stock_worker_held_is_taken_over(directory: Path, own_redis: RedisServer) -> None:
    stock(own_redis, "hold")
    assert own_redis.client().llen("moving") == 0
    assert json.loads(hive("queue", "adopt", "--json")) == [{"adopted": 0, "left": 0}]
    assert json.loads(hive("queue", "adopt", "--older-than-s", "0", "--json")) == [{"adopted": 3, "left": 0}]
    assert own_redis.client().hlen("unacked") == 0
    assert json.loads(stock(own_redis, "take")) == ["stock0", "stock1", "stock2"]


def test_metrics_say_what_is_there(directory: Path, own_redis: RedisServer) -> None:
    publish("work.delay(1); work.apply_async((2,), priority=6)")
    lines = hive("metrics").splitlines()
    assert 'hive_queue_ready{priority="0",queue="moving"} 1.0' in lines
    assert 'hive_queue_ready{priority="6",queue="moving"} 1.0' in lines
    assert 'hive_redelivered_total{queue="moving"} 0.0' in lines
    assert any(line.startswith('hive_queue_oldest_age_seconds{queue="moving"}') for line in lines)
