"""An application of one agent type whose tasks leave a trace of each start and each end; configured by SCALED_URL."""

import os
import threading
from typing import Any

import redis

from hive.agents import BUILTIN, FALLBACK, Registry
from hive.agents.types import Concurrency
from tests.support.own_hive import OwnHive

url = os.environ.get("SCALED_URL", "redis://127.0.0.1:1/0")
slots, workers = (int(os.environ.get(f"SCALED_{name}", "1")) for name in ("SLOTS", "WORKERS"))
bounds = {"concurrency": Concurrency(minimum=1, maximum=slots), "workers": Concurrency(minimum=1, maximum=workers)}
app = OwnHive(
    "scaled",
    broker=url,
    backend=url,
    agent_types=Registry(
        agent.model_copy(update=bounds if agent.name == "code_reviewer" else {})
        for agent in BUILTIN
        if agent.name in {"code_reviewer", FALLBACK}
    ),
)
QUEUE = "agent.code_reviewer"


@app.task(agent_type="code_reviewer", bind=True, name="scaled.nap")
def nap(self: Any, seconds: float) -> None:
    """Take a while."""
    # A connection of its own for each: a pool child is not to be told from another by what it has open.
    with redis.Redis.from_url(url) as client:
        client.rpush("started", self.request.id)
        threading.Event().wait(seconds)
        client.rpush("ended", self.request.id)


@app.task(agent_type="code_reviewer", bind=True, name="scaled.anap")
async def anap(self: Any, seconds: float) -> None:
    """Take a while, as a coroutine."""
    import asyncio

    with redis.Redis.from_url(url) as client:
        client.rpush("started", self.request.id)
        await asyncio.sleep(seconds)
        client.rpush("ended", self.request.id)
