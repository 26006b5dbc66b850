"""An application whose tasks leave traces on the broker, for tests that kill, stop and cut what runs them.

Configured by DELIVERY_URL; every run of a body appends ``<task id> <event> <process id>`` to the list ``trace``.
"""

import asyncio
import gc
import os
import signal
import threading
from typing import Any

import redis
from pydantic import BaseModel

from hive import ExponentialRetry, Unique
from hive.clock import SystemClock
from hive.settings.load import load_settings
from tests.support.own_hive import OwnHive

url = os.environ.get("DELIVERY_URL", "redis://127.0.0.1:1/0")
app = OwnHive("delivery", broker=url, backend=url, settings=load_settings())
app.conf.update(task_send_sent_event=False, worker_send_task_events=False)
if os.environ.get("DELIVERY_MASTER"):
    named = {"master_name": os.environ["DELIVERY_MASTER"]}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **named}
    app.conf.result_backend_transport_options = named


def trace(request: Any, event: str) -> None:
    redis.Redis.from_url(url).rpush("trace", f"{request.id} {event} {os.getpid()}")


@app.task(bind=True)
def add(self: Any, x: int, y: int) -> int:
    trace(self.request, "start")
    return x + y


@app.task(bind=True)
def nap(self: Any, seconds: float) -> str:
    trace(self.request, "start")
    threading.Event().wait(seconds)
    trace(self.request, "end")
    return f"{self.request.id} {os.getpid()}"


@app.task(bind=True)
def kill_process(self: Any) -> None:
    trace(self.request, "start")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def kill_until(self: Any, key: str) -> str:
    trace(self.request, "start")
    if not redis.Redis.from_url(url).exists(key):
        os.kill(os.getpid(), signal.SIGKILL)
    return "spared"


@app.task(bind=True)
def wait_for(self: Any, key: str) -> None:
    trace(self.request, "start")
    redis.Redis.from_url(url).blpop([key], timeout=100)


@app.task(bind=True)
def note(self: Any, *_: Any) -> None:
    trace(self.request, "note")


@app.task(bind=True)
def die_once(self: Any) -> str:
    trace(self.request, "start")
    if not self.request.delivery_info["redelivered"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return "redelivered"


@app.task(bind=True)
def die_beside_a_helper(self: Any) -> str:
    """Die at once, and leave a forked process behind that holds all that it had open, for a minute."""
    trace(self.request, "start")
    if not self.request.delivery_info["redelivered"]:
        if not os.fork():
            threading.Event().wait(60)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    return "redelivered"


@app.task(bind=True, max_retries=5)
def again(self: Any, times: int, countdown: float) -> int:
    trace(self.request, "start")
    if self.request.retries < times:
        raise self.retry(countdown=countdown)
    return int(self.request.retries)


@app.task(bind=True, autoretry_for=())
def put_back(self: Any) -> str:
    trace(self.request, "start")
    from celery.exceptions import Reject

    if redis.Redis.from_url(url).incr("put_back") == 1:
        raise Reject("not now", requeue=True)
    return "redelivered" if self.request.delivery_info["redelivered"] else "first"


@app.task
def lose_its_loop() -> None:
    """Run a loop that is cancelled, as a client library's may be."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    asyncio.run(cancelled())


class Stray(BaseException):
    """An error that is no exception, as some libraries have them."""


@app.task
async def stray() -> None:
    raise Stray("away")


@app.task
def stray_function() -> None:
    raise Stray("away")


@app.task
async def leave() -> None:
    raise SystemExit(3)


@app.task
def echo(value: Any) -> Any:
    return value


@app.task
def frozen() -> int:
    return gc.get_freeze_count()


class Order(BaseModel):
    """What the task ``order`` asks for."""

    item: str
    quantity: int


@app.task(pydantic=True)
def order(wanted: Order) -> str:
    # Its own mistake, which is no fault of the message.
    return wanted.item if wanted.quantity else Order.model_validate({}).item


@app.task(bind=True, time_limit=0.5, acks_on_timeout=False)
def overtime(self: Any) -> None:
    trace(self.request, "start")
    threading.Event().wait(60)


@app.task(bind=True, unique=Unique(within_s=600, until="time"))
def once(self: Any, key: int) -> int:
    trace(self.request, "start")
    threading.Event().wait(0.005)
    return key


@app.task(bind=True)
def compute(self: Any, seconds: float) -> str:
    trace(self.request, "start")
    clock = SystemClock()
    until_s = clock.monotonic_s() + seconds
    while clock.monotonic_s() < until_s:
        pass
    return "computed"


@app.task(bind=True, time_limit=0.5)
def too_long(self: Any) -> None:
    trace(self.request, "start")
    threading.Event().wait(60)


if os.environ.get("DELIVERY_HANDS"):
    from celery import bootsteps

    class LosesOnRequest(bootsteps.StartStopStep):
        """Hands its pool more than that has slots for, and loses its lease once there is a key ``lose``."""

        requires = ("hive.runtime.worker.consuming:Delivery",)

        def start(self, consumer: Any) -> None:
            consumer.gate.slots = lambda: int(os.environ["DELIVERY_HANDS"])

            def watch() -> None:
                client = redis.Redis.from_url(url)
                while not client.blpop(["lose"], timeout=1):
                    continue
                consumer.holder.lose(consumer.holder.id)
                client.rpush("lost", 1)

            threading.Thread(target=watch, daemon=True).start()

    app.steps["consumer"].add(LosesOnRequest)


@app.task(bind=True, retry=ExponentialRetry(base_s=1.5, jitter=0.0, max_retries=2))
def buggy(self: Any, kind: str) -> None:
    if kind == "away":
        raise ConnectionRefusedError("down")
    raise KeyError(f"{'abc'[self.request.retries]} place" if kind == "moving" else "one place")


if os.environ.get("DELIVERY_DIES_AT"):
    step, _, once_there_is = os.environ["DELIVERY_DIES_AT"].partition(" once ")

    def die(name: str, when: str) -> None:
        if f"{when} {name}" == step and redis.Redis.from_url(url).exists(once_there_is):
            os.kill(os.getpid(), signal.SIGKILL)

    app.process.at = die

if os.environ.get("DELIVERY_NEWCOMER"):

    @app.task
    def newcomer(number: int) -> int:
        return number + 1
