"""An application whose tasks declare limits or take turns; configured by DELIVERY_URL like the delivery tests' one."""

import os
import threading
from typing import Any

import redis

from hive import Limit
from hive.resilience.limiter import slice_ms
from hive.runtime.guarding.limited import RESERVED
from hive.settings.load import load_settings
from tests.support.own_hive import OwnHive

url = os.environ.get("DELIVERY_URL", "redis://127.0.0.1:1/0")
app = OwnHive("limited", broker=url, backend=url, settings=load_settings())

CALLS = Limit.requests(20, per_s=1, key="model")
TOKENS = Limit.tokens(1_000, per_s=1, key="{tenant}", estimate="max_tokens")
SLOTS = Limit.concurrency(1, key="{tenant}")


def trace(request: Any, event: str = "start") -> None:
    client = redis.Redis.from_url(url)
    seconds, microseconds = client.time()  # type: ignore[misc]
    client.rpush("trace", f"{request.id} {event} {seconds * 1_000_000 + microseconds}")


@app.task(bind=True)
def plain(self: Any, value: Any) -> Any:
    trace(self.request)
    return value


@app.task(bind=True, limits=[CALLS])
def call_model(self: Any, number: int) -> int:
    trace(self.request)
    _, _, (place,), _ = getattr(self.request, RESERVED)
    redis.Redis.from_url(url).rpush("trace", f"{self.request.id} grant {place * slice_ms(1_000) * 1_000}")
    return number


@app.task(bind=True, limits=[TOKENS])
def use_tokens(self: Any, tenant: str, max_tokens: int, used: int) -> int:
    trace(self.request)
    app.limits.settle(tokens=used)
    return used


@app.task(bind=True, limits=[SLOTS])
def hold(self: Any, tenant: str, seconds: float) -> str:
    trace(self.request)
    threading.Event().wait(seconds)
    trace(self.request, "end")
    return tenant


@app.task(bind=True, fair_key="{tenant}")
def serve(self: Any, tenant: str, seconds: float) -> str:
    trace(self.request)
    threading.Event().wait(seconds)
    return tenant
