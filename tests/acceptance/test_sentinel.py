"""A broker that Sentinel watches over fails: its replica takes over, and consuming goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.exceptions import TimeoutError as NoResultError
from kombu.exceptions import OperationalError

from hive import Hive
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, free_port, server_binary
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ADD = "tests.support.delivery_app.echo"


@pytest.fixture
def replica(own_redis: RedisServer) -> Iterator[RedisServer]:
    server = RedisServer(arguments=["--replicaof", "127.0.0.1", str(own_redis.port)]).start()
    eventually(lambda: server.client().info("replication")["master_link_status"] == "up")
    yield server
    server.close()


@pytest.fixture
def sentinel(own_redis: RedisServer, replica: RedisServer, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor agents 127.0.0.1 {own_redis.port} 1\n"
        "sentinel down-after-milliseconds agents 1000\nsentinel failover-timeout agents 5000\n"
    )
    with (tmp_path / "sentinel.log").open("wb") as log:
        process = subprocess.Popen([server_binary(), str(configuration), "--sentinel"], stdout=log, stderr=log)
    text = (tmp_path / "sentinel.log").read_text
    eventually(lambda: f"slave 127.0.0.1:{replica.port}" in text(), what="the sentinel knows the replica")
    yield port
    process.terminate()
    process.wait(60)


def test_after_a_failover_the_worker_consumes_from_the_new_master(own_redis: RedisServer, sentinel: int) -> None:
    url = f"sentinel://127.0.0.1:{sentinel}/0"
    app = Hive("caller", broker=url, backend=url)
    named = {"master_name": "agents"}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **named}
    app.conf.result_backend_transport_options = named
    with WorkerProcess(own_redis, url=url, environment={"DELIVERY_MASTER": "agents"}).ready():
        assert [app.send_task(ADD, (n,)).get(timeout=60) for n in range(5)] == list(range(5))
        own_redis.stop(kill=True)

        def again() -> bool:
            """Publish once the new master takes it; a try may meet the old one."""
            try:
                return bool(app.send_task(ADD, (7,)).get(timeout=8) == 7)
            except (OperationalError, NoResultError, *app.backend.connection_errors):
                return False

        eventually(again, 120, every_s=0.5, what="a task and its result over the new master")
        assert [app.send_task(ADD, (n,)).get(timeout=60) for n in range(5)] == list(range(5))
    app.close()
