"""A worker's figures, on its port and on Celery's event stream."""

import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.events import EventReceiver

from hive import Hive
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer, free_port

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

APP = """
import os
from hive import Hive
app = Hive("figures", broker=os.environ["FIGURES_BROKER"])
app.conf.task_queues = None

@app.task(name="figures.work")
def work(): ...
"""


@pytest.fixture
def port(tmp_path: Path, own_redis: RedisServer) -> Iterator[int]:
    """The port that is set for two workers at once."""
    (tmp_path / "figures.py").write_text(APP)
    port = free_port()
    variables = {"FIGURES_BROKER": own_redis.url, "HIVE_WORKER_METRICS_PORT": str(port)}
    command = [sys.executable, "-m", "celery", "-A", "figures", "worker", "-P", "solo", "-E", "-l", "error", "-n"]
    with (tmp_path / "log").open("wb") as log:
        workers = [
            subprocess.Popen([*command, f"{name}@here"], cwd=tmp_path, env={**os.environ, **variables}, stderr=log)
            for name in ("one", "two")
        ]
    yield port
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait(60)
    print((tmp_path / "log").read_text())


def scraped(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            return str(reply.read().decode())
    except OSError:
        return ""


def test_two_workers_share_the_setting_and_say_what_they_do(port: int, own_redis: RedisServer) -> None:
    seen: dict[tuple[str, str], dict[str, object]] = {}
    app = Hive("listener", broker=own_redis.url)
    receivers: list[EventReceiver] = []

    def note(event: dict[str, object]) -> None:
        seen[str(event["type"]), str(event["hostname"])] = event

    def listen() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"hive-queue": note, "hive-worker": note})
            receivers.append(receiver)
            receiver.capture(wakeup=False)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        texts = eventually(lambda: [text for text in map(scraped, (port, port + 1)) if "hive_worker" in text] or None)
        eventually(lambda: len(texts) == 2 or len(list(filter(None, map(scraped, (port, port + 1))))) == 2, 60)
        eventually(lambda: len(seen) == 4, 60, what="both events of both workers")
    finally:
        receivers[0].should_stop = True
        listener.join()
    both = 'hive_queue_consumers{queue="celery"} 2.0'
    text = eventually(lambda: next((text for text in [scraped(port)] if both in text), None), what=both)
    assert 'hive_worker_late_renewals_total{worker="' in text
    assert {name for _, name in seen} == {"one@here", "two@here"}
    assert seen["hive-queue", "one@here"]["queue"] == "celery"
    assert seen["hive-worker", "two@here"]["refused_total"] == 0
