"""Durable tasks and agents in a real worker; configured by DELIVERY_URL like the delivery tests' one."""

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import redis

from hive import SystemClock
from hive.settings.load import load_settings
from tests.support.own_hive import OwnHive

url = os.environ.get("DELIVERY_URL", "redis://127.0.0.1:1/0")
app = OwnHive("durable", broker=url, backend=url, settings=load_settings())
app.conf.task_default_queue = "celery"


def note(name: str, value: object) -> int:
    """Leave a line that a step ran, where the broker's death does not matter; return how many there are of that name."""
    path = Path(os.environ["DURABLE_NOTES"]) / name
    with path.open("a") as file:
        file.write(f"{value}\n")
    return len(path.read_text().splitlines())


def work(run: str, number: int, work_s: float) -> list[int]:
    """Do the work of one step, which leaves a line before and after."""
    note(f"begun:{run}", number)
    threading.Event().wait(work_s)
    note(f"ended:{run}", number)
    return [number, number * number]


@app.task(bind=True, durable=True)
def steps(self: Any, count: int, work_s: float = 0.0) -> int:
    run = self.request.id
    return sum(self.durable.step(f"s{number}", work, run, number, work_s)[1] for number in range(count))


@app.task(bind=True, durable=True)
def same_name(self: Any, count: int) -> list[list[int]]:
    return [self.durable.step("s", work, self.request.id, number, 0.0) for number in range(count)]


@app.task(bind=True, durable=True)
async def async_steps(self: Any, count: int, work_s: float = 0.0) -> int:
    async def one(number: int) -> int:
        note(f"begun:{self.request.id}", number)
        await asyncio.sleep(work_s)
        note(f"ended:{self.request.id}", number)
        return number * number

    squares = await asyncio.gather(*(self.durable.step(f"s{number}", one, number) for number in range(count)))
    return sum(squares)


@app.task(bind=True, durable=True)
def dies_in_a_step(self: Any, on_unknown: str) -> Any:
    def charge() -> str:
        if note(f"keys:{self.request.id}", self.durable.idempotency_key) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return "charged"

    note(f"bodies:{self.request.id}", os.getpid())
    self.durable.step("before", note, f"ended:{self.request.id}", "before")
    return self.durable.step("charge", charge, on_unknown=on_unknown)


@app.task(bind=True, durable=True)
def sleeps(self: Any, for_s: float) -> str:
    ctx = self.durable
    ctx.step("before", note, f"ended:{self.request.id}", "before")
    ctx.sleep(for_s=for_s)
    ctx.step("after", note, f"ended:{self.request.id}", "after")
    return "woke"


@app.task(bind=True, durable=True)
def waits(self: Any, event: str, timeout_s: float | None = None) -> Any:
    ctx = self.durable
    ctx.step("before", note, f"ended:{self.request.id}", "before")
    return ctx.wait_for(event, timeout_s=timeout_s)


@app.task(bind=True, durable=True)
async def async_waits(self: Any, event: str) -> Any:
    await self.durable.step("before", note, f"ended:{self.request.id}", "before")
    first = await self.durable.wait_for(event)
    await self.durable.sleep(for_s=0.2)
    return [first, await self.durable.wait_for(event)]


@app.task(bind=True, durable=True, max_retries=3)
def fails_once(self: Any) -> str:
    def flaky() -> str:
        if note(f"ended:{self.request.id}", "flaky") < 3:
            raise ConnectionError("not yet")
        return "third"

    note(f"bodies:{self.request.id}", "body")
    self.durable.step("first", note, f"first:{self.request.id}", "once")
    try:
        return str(self.durable.step("flaky", flaky))
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0) from error


@app.task(bind=True)
def plain(self: Any, value: Any) -> Any:
    note("plain", self.request.id)
    return value


@app.task(bind=True)
def slow(self: Any, work_s: float) -> str:
    note("slow", self.request.id)
    threading.Event().wait(work_s)
    note("slow-ended", self.request.id)
    return "slow"


@app.task(bind=True)
def running(self: Any) -> None:
    at_s = SystemClock().wall_ms() / 1000
    redis.Redis.from_url(url).hset("running", self.request.id, str(at_s))
