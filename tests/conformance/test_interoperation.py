"""hive beside stock Celery: the same messages on the same lists, whoever publishes and whoever works."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

CLASSES = {"hive": "from hive import Hive as Celery", "stock": "from celery import Celery"}

#: One application, written for both; what a task did is a line in a file.
APP = """
import os, sys
{imported}
app = Celery("both", broker=os.environ["BOTH"], backend=os.environ["BOTH"])
app.conf.update(task_queues=None, task_default_queue="both", task_acks_late=True, worker_prefetch_multiplier=1,
                broker_connection_retry_on_startup=True)

@app.task(name="both.work")
def work(number):
    with open("effects", "a") as effects:
        effects.write(f"{{number}} {side}\\n")
    return number * 2
"""


@pytest.fixture
def directory(tmp_path: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both sides' modules, their file of effects, and the broker's address in the environment."""
    for side, imported in CLASSES.items():
        (tmp_path / f"{side}_app.py").write_text(APP.format(imported=imported, side=side))
    (tmp_path / "effects").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BOTH", own_redis.url)
    return tmp_path


Start = Callable[[str], None]


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    """Starts a worker of a side; all are ended afterwards."""
    workers: list[subprocess.Popen[bytes]] = []

    def run(side: str) -> None:
        command = [sys.executable, "-m", "celery", "-A", f"{side}_app", "worker", "-P", "threads", "-c", "2", "-l",
                   "warning", "-n", f"{side}@here"]  # fmt: skip
        with (directory / "log").open("ab") as log:
            workers.append(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ.copy()))

    yield run
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait(60)
    print((directory / "log").read_text())


def call(side: str, code: str) -> str:
    """Run code in a process of a side that knows nothing of the other; return what it printed."""
    program = f"from {side}_app import app, work\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def effects() -> list[tuple[int, str]]:
    pairs = (line.split() for line in Path("effects").read_text().splitlines())
    return sorted((int(number), side) for number, side in pairs)


@pytest.mark.parametrize(("producer", "worker"), [("stock", "hive"), ("hive", "stock")])
def test_one_publishes_and_the_other_works(producer: str, worker: str, start: Start) -> None:
    start(worker)
    code = """
from celery import chain
results = [work.delay(1), work.apply_async((2,), priority=6), work.apply_async((3,), countdown=1.5), chain(work.s(4), work.s())()]
print([result.get(timeout=60) for result in results])
"""
    if (producer, worker) == ("hive", "stock"):
        # What is scheduled waits on the broker for a hive worker: a stock one never sees it.
        code = code.replace("countdown=1.5", "countdown=0")
    assert call(producer, code) == "[2, 4, 6, 16]"
    assert effects() == [(1, worker), (2, worker), (3, worker), (4, worker), (8, worker)]


def test_both_work_on_one_queue_and_each_message_once(start: Start) -> None:
    start("hive")
    start("stock")
    both = "print(len(app.control.inspect(timeout=10, limit=2).ping() or ()))"
    eventually(lambda: call("stock", both) == "2", 60, 0.5, "a stock client sees both workers")
    assert call("hive", both) == "2"
    for side, first in (("hive", 0), ("stock", 100)):
        call(side, f"[work.delay(number) for number in range({first}, {first + 100})]")
    eventually(lambda: len(effects()) == 200, 60, what="all ran")
    assert [number for number, _ in effects()] == list(range(200))
    assert {side for _, side in effects()} == {"hive", "stock"}


@pytest.mark.parametrize("side", CLASSES)
def test_what_waits_lies_where_flower_and_the_exporters_look(
    side: str, directory: Path, own_redis: RedisServer
) -> None:
    call(side, "[work.apply_async((1,), priority=priority) for priority in (0, 0, 2, 3, 6, 9)]")
    with own_redis.client() as client:
        lengths = {name: client.llen(name) for name in ("both", "both\x06\x163", "both\x06\x166", "both\x06\x169")}
        assert list(lengths.values()) == [3, 1, 1, 1]
        envelope = json.loads(client.lindex("both", 0) or b"")
    assert {"body", "content-encoding", "content-type", "headers", "properties"} == set(envelope)
    assert {"delivery_tag", "delivery_info", "priority", "body_encoding", "correlation_id"} <= set(
        envelope["properties"]
    )
