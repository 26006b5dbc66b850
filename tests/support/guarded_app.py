"""An application whose tasks declare guards and fallbacks; configured by DELIVERY_URL like the delivery tests' one."""

import gc
import os
import threading
from typing import Any

import redis

from hive import ImmediateRetry
from hive.guards import Default, LastGood, OtherAgent
from hive.runtime.worker.request import HiveRequest
from hive.settings.load import load_settings
from tests.support.own_hive import OwnHive

url = os.environ.get("DELIVERY_URL", "redis://127.0.0.1:1/0")
app = OwnHive("guarded", broker=url, backend=url, settings=load_settings())


def trace(request: Any, event: str = "start") -> None:
    redis.Redis.from_url(url).rpush("trace", f"{request.id} {event} {os.getpid()}")


@app.task(bind=True)
def plain(self: Any, value: Any) -> Any:
    trace(self.request)
    return value


@app.task(bind=True, fallback=[LastGood(max_age_s=60), Default(value="nothing known")])
def answer(self: Any, question: str) -> str:
    trace(self.request)
    return f"{question}!"


@app.task(bind=True, agent_type="code_reviewer", fallback=OtherAgent(agent_type="general_developer"))
def review(self: Any, path: str) -> str:
    trace(self.request)
    return f"{path} by {self.request.delivery_info['routing_key']}"


@app.task
def shout(text: str) -> str:
    return text.upper()


@app.task(bind=True, breaker="flaky")
def call_flaky(self: Any, number: int) -> int:
    trace(self.request)
    if redis.Redis.from_url(url).exists("flaky:down"):
        raise ConnectionError("flaky is down")
    return number


@app.task
def count_requests() -> int:
    """Return how many requests the worker's process keeps."""
    gc.collect()
    return sum(isinstance(one, HiveRequest) for one in gc.get_objects())


@app.task(bind=True, breaker="flaky")
def hold_flaky(self: Any, seconds: float) -> str:
    trace(self.request)
    threading.Event().wait(seconds)
    return "held"


@app.task(bind=True, breaker=("flaky",), fallback=[LastGood(), Default(value="nothing known")])
async def ask_flaky(self: Any, question: str) -> str:
    trace(self.request)
    if redis.Redis.from_url(url).exists("flaky:down"):
        raise ConnectionError("flaky is down")
    return f"{question}!"


@app.task(bind=True, breaker="retried", retry=ImmediateRetry(max_retries=50))
def retry_flaky(self: Any) -> int:
    trace(self.request)
    if redis.Redis.from_url(url).exists("flaky:down"):
        raise ConnectionError("flaky is down")
    return int(self.request.retries)


@app.task(fallback=[LastGood(), Default(value="nothing known")])
def look_up(word: str, *, times: int = 1) -> str:
    with app.breaker("inner"):
        return word * times


@app.task(bind=True, fallback=[LastGood(), Default(value="nothing known")])
async def look_up_soon(self: Any, word: str) -> str:
    async with app.breaker("inner"):
        return f"{word} {self.request.retries}"
