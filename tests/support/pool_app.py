"""Tasks that show how a pool treats them; what they see goes to lists on the broker. Run as a module it is a worker."""

import asyncio
import contextvars
import json
import os
import sys
import threading
import time
from typing import Any

import redis
from celery import current_task
from celery.exceptions import SoftTimeLimitExceeded

from hive import Hive
from hive.settings.model import Settings
from hive.settings.parts import DeliverySettings, WorkerSettings

OWN = contextvars.ContextVar("own", default="nothing")


def build(url: str, queue: str, grace_s: float = 30.0) -> Hive:
    """Return the application; ``queue`` also names its lists."""
    worker = WorkerSettings(grace_s=grace_s, cancel_wait_s=1.0)
    settings = Settings(worker=worker, delivery=DeliverySettings(lease_s=3.0, renew_every_s=0.5))
    app = Hive("pool", broker=url, backend=url, settings=settings, set_as_current=False)
    app.conf.update(task_queues=None, task_default_queue=queue, worker_hijack_root_logger=False)
    client = redis.Redis.from_url(url, decode_responses=True)

    def note(*words: Any) -> None:
        client.rpush(f"{queue}:notes", json.dumps([time.monotonic(), *words]))

    @app.lifespan
    async def shared(_: Hive) -> Any:
        note("opened", os.getpid())
        yield {"loop": asyncio.get_running_loop()}
        note("closed", os.getpid())

    _waiting_tasks(app, note)
    _telling_tasks(app, note)
    app.finalize()
    return app


def _waiting_tasks(app: Hive, note: Any) -> None:  # noqa: C901 - a list of small tasks
    @app.task(name="nap", shared=False)
    async def nap(seconds):
        note("began", current_task.request.id)
        try:
            await asyncio.sleep(seconds)
        except SoftTimeLimitExceeded:
            note("soft", current_task.request.id)
            raise
        except asyncio.CancelledError:
            note("cancelled", current_task.request.id)
            raise
        note("ended", current_task.request.id)

    @app.task(name="family", shared=False)
    async def family(seconds):
        async def child():
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                note("child cancelled", current_task.request.id)
                raise

        try:
            async with asyncio.TaskGroup() as children:
                children.create_task(child())
                children.create_task(child())
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0.01)
            return "family told"

    @app.task(name="swallow", shared=False)
    async def swallow():
        note("began", current_task.request.id)
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                note("swallowed", current_task.request.id)

    @app.task(name="compute", shared=False)
    async def compute(seconds):
        note("began", current_task.request.id)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(100))
        return "computed"

    @app.task(name="plain_nap", shared=False)
    def plain_nap(seconds):
        note("began", current_task.request.id)
        threading.Event().wait(seconds)
        return threading.current_thread().name


def _telling_tasks(app: Hive, note: Any) -> None:
    @app.task(name="tell", shared=False)
    async def tell():
        here = asyncio.get_running_loop()
        return {"pid": os.getpid(), "loop": id(here), "lifespan": app.lifespan["loop"] is here}

    @app.task(name="keep", shared=False)
    async def keep(word):
        seen = [OWN.get()]
        OWN.set(word)
        await asyncio.sleep(0.2)
        inside = await asyncio.to_thread(lambda: current_task.request.args[0])
        return [*seen, OWN.get(), current_task.request.args[0], inside]

    @app.task(name="leave", shared=False)
    async def leave():
        note("began", current_task.request.id)
        raise SystemExit(3)


if __name__ == "__main__":
    broker, name, pool, slots, grace = sys.argv[1:6]
    application = build(broker, name, float(grace))
    application.conf.worker_pool = pool
    options = ["-c", slots, "-n", f"{name}@pool", "-l", "warning", "--without-gossip", "--without-mingle"]
    application.worker_main(["worker", *options, *sys.argv[6:]])
