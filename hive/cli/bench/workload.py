"""The application that is measured, written as any Celery user would; its effects go to files, not to the broker.

The line that imports ``Celery`` is the only one in which the two sides differ. Run as a program it publishes:
``python module.py delay noop 20000``, ``batch``, ``ident`` or ``paced``.
"""

import json
import os
import struct
import sys
import time
from pathlib import Path

from celery import Celery
from celery.signals import worker_ready

OPTIONS = json.loads(os.environ["BENCH_OPTIONS"])
FILES = {
    name: os.open(Path(OPTIONS["directory"]) / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for name in ("done", "latency", "effects", "ready")
}

app = Celery("bench", broker=OPTIONS["broker"], backend=OPTIONS["broker"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=not OPTIONS["results"],
    task_send_sent_event=False,
    task_track_started=False,
    worker_send_task_events=OPTIONS["events"],
    worker_prefetch_multiplier=OPTIONS["prefetch"],
    task_default_queue=OPTIONS["queue"],
    task_queues=None,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"global_keyprefix": OPTIONS["prefix"]} if OPTIONS["prefix"] else {},
    result_backend_transport_options={"global_keyprefix": OPTIONS["prefix"]} if OPTIONS["prefix"] else {},
)


@worker_ready.connect
def ready(**_: object) -> None:
    """Say that this worker consumes."""
    os.write(FILES["ready"], b".")


@app.task(name="bench.noop")
def noop() -> None:
    """Count itself."""
    os.write(FILES["done"], b".")


@app.task(name="bench.latency")
def latency(sent_ns: int) -> None:
    """Record when it was sent and when it began, on the clock that all processes of a machine share."""
    os.write(FILES["latency"], struct.pack("<qq", sent_ns, time.monotonic_ns()))


@app.task(name="bench.wait")
def wait(seconds: float) -> None:
    """Block, as on a slow service, and count itself."""
    time.sleep(seconds)  # noqa: TID251 - a blocking call is what is measured
    os.write(FILES["done"], b".")


@app.task(name="bench.ident")
def ident(number: int, seconds: float) -> None:
    """Record its start and its end under its number."""
    os.write(FILES["effects"], f"s {number}\n".encode())
    time.sleep(seconds)  # noqa: TID251 - a blocking call is what is measured
    os.write(FILES["effects"], f"f {number}\n".encode())


def publish_noops(count: int, _: float) -> None:
    """Publish as most code does: ``task.delay()``."""
    for _number in range(count):
        noop.delay()


def publish_waits(count: int, seconds: float) -> None:
    """Publish tasks that block for ``seconds``."""
    for _number in range(count):
        wait.delay(seconds)


def publish_idents(count: int, seconds: float) -> None:
    """Publish tasks that record their number."""
    for number in range(count):
        ident.delay(number, seconds)


def publish_batch(count: int, _: float) -> None:
    """Publish with hive's ``app.batch()``."""
    with app.batch():
        for _number in range(count):
            noop.delay()


def publish_paced(count: int, seconds: float) -> None:
    """Publish one message every ``seconds``, whatever becomes of the ones before."""
    for _number in range(count):
        latency.delay(time.monotonic_ns())
        time.sleep(seconds)  # noqa: TID251 - open load


WAYS = {
    "noop": publish_noops,
    "wait": publish_waits,
    "ident": publish_idents,
    "batch": publish_batch,
    "paced": publish_paced,
}


def main() -> None:
    """Publish as the command line says, and print how long it took without the start of the process."""
    way, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=3)
        noop.apply_async(queue=OPTIONS["queue"] + ".warm")
    began = time.monotonic()
    WAYS[way](count, seconds)
    print(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
