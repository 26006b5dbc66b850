"""An application whose tasks sleep and note when they did, one task for each way of routing; configured by BALANCED_*."""

import json
import os
import threading
import time
from typing import Any

import redis

from hive.agents.registry import load_registry
from tests.support.own_hive import OwnHive

url = os.environ.get("BALANCED_URL", "redis://127.0.0.1:1/0")
#: Every task takes so many times as long in this process.
slowness = float(os.environ.get("BALANCED_SLOWNESS", "1"))
app = OwnHive("balanced", broker=url, backend=url, agent_types=load_registry({"sleeper": {}}))
#: The broker by its own client: it knows unix sockets by another scheme.
notes = redis.Redis.from_url(url.replace("redis+socket:", "unix:").partition("?")[0])


def nap(request: Any, number: int, seconds: float) -> None:
    """Sleep, and note whose turn it was, when it began and when it ended; by the clock that all processes of a host share."""
    began_s = time.monotonic()
    threading.Event().wait(seconds * slowness)
    notes.rpush("naps", json.dumps([number, request.hostname, began_s, time.monotonic()]))


@app.task(bind=True, agent_type="sleeper", routing="round_robin", ignore_result=True)
def robin(self: Any, number: int, seconds: float) -> None:
    """Sleep; each worker in turn."""
    nap(self.request, number, seconds)


@app.task(bind=True, agent_type="sleeper", routing="hybrid", ignore_result=True)
def hybrid(self: Any, number: int, seconds: float) -> None:
    """Sleep; where hybrid sends it."""
    nap(self.request, number, seconds)


@app.task(bind=True, agent_type="sleeper", routing="shared", ignore_result=True)
def shared(self: Any, number: int, seconds: float) -> None:
    """Sleep; whoever is free."""
    nap(self.request, number, seconds)
