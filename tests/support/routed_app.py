"""An application with two agent types whose tasks say which worker ran them, configured by DELIVERY_URL."""

import os
import threading
from typing import Any

import redis

from hive.agents.registry import load_registry
from hive.settings.load import load_settings
from tests.support.own_hive import OwnHive

url = os.environ.get("DELIVERY_URL", "redis://127.0.0.1:1/0")
types = load_registry(
    {
        "talker": {"capabilities": [{"kind": "talk", "proficiency": 0.9}]},
        "writer": {"capabilities": [{"kind": "write", "proficiency": 0.9}, {"kind": "talk", "proficiency": 0.2}]},
    }
)
app = OwnHive("routed", broker=url, backend=url, settings=load_settings(), agent_types=types)


def trace(request: Any, event: str) -> None:
    """Note that a worker did something with a task."""
    redis.Redis.from_url(url).rpush("trace", f"{request.id} {event} {request.hostname}")


@app.task(bind=True, agent_type="talker")
def talk(self: Any, seconds: float = 0.0) -> str:
    """Run for so long, and return the worker's name."""
    trace(self.request, "start")
    threading.Event().wait(seconds)
    return str(self.request.hostname)


@app.task(bind=True, agent_type="talker", affinity="{conversation}")
def answer(self: Any, conversation: str) -> str:
    """Return the worker's name."""
    trace(self.request, "start")
    return str(self.request.hostname)


@app.task(bind=True, agent_type="talker", routing="round_robin")
def turn(self: Any) -> str:
    """Return the worker's name."""
    trace(self.request, "start")
    return str(self.request.hostname)


@app.task(bind=True, kind="talk", shared=False)
def chat(self: Any) -> str:
    """Return the worker's name; whoever can talk runs it."""
    trace(self.request, "start")
    return str(self.request.hostname)
