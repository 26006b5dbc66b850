"""An application whose tasks use more than they may; configured by DELIVERY_URL like the delivery tests' one."""

import os
import subprocess
import sys
import threading
from typing import Any

import redis

from hive import Resources
from hive.resources.host import read_host
from hive.settings.load import load_settings
from tests.support.own_hive import OwnHive

url = os.environ.get("DELIVERY_URL", "redis://127.0.0.1:1/0")
app = OwnHive("bounded", broker=url, backend=url, settings=load_settings())

MEGABYTE_BYTES = 1 << 20


def app_cores(share: float) -> float:
    """Return a share of the cores of this host."""
    return round(read_host(app.settings.home).cores * share, 3)


@app.task
def plain(value: int) -> int:
    return value


@app.task
def wait(seconds: float) -> int:
    """Return the number of the process, after a while."""
    redis.Redis.from_url(url).incr("waits")
    threading.Event().wait(seconds)
    return os.getpid()


@app.task(needs=Resources(memory_mb=150))
def grow_by(megabytes: int) -> int:
    """Use memory, once the process was looked at, and give it back."""
    threading.Event().wait(0.5)
    return len(bytearray(megabytes * MEGABYTE_BYTES))


@app.task
def grow() -> int:
    """Use more and more memory within one task, a little at a time."""
    hoard = []
    while True:
        hoard.append(bytearray(b"x" * MEGABYTE_BYTES))


@app.task
def grow_elsewhere(megabytes: int) -> None:
    """Use memory in a process that lifts the limit on itself."""
    body = (
        "import resource, threading\n"
        "hard = resource.getrlimit(resource.RLIMIT_DATA)[1]\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))\n"
        f"hoard = bytearray(b'x') * ({megabytes} << 20)\n"
        "threading.Event().wait()\n"
    )
    subprocess.run([sys.executable, "-c", body], check=True)


@app.task
def fork(count: int) -> None:
    """Fork children that fork no more, half of them in a session of their own whose parent ends at once, and wait."""
    redis.Redis.from_url(url).incr("bombs")
    for number in range(count):
        child = os.fork()
        if child == 0:
            if number % 2:
                os.setsid()
                if os.fork():
                    os._exit(0)
            redis.Redis.from_url(url).rpush("forked", os.getpid())
            threading.Event().wait(60)
            os._exit(0)
    threading.Event().wait(60)


@app.task(bind=True, exclusive="repo:{path}")
def edit(self: Any, path: str, seconds: float) -> None:
    client = redis.Redis.from_url(url)
    client.rpush("edits", f"{path} begin {self.request.id}")
    threading.Event().wait(seconds)
    client.rpush("edits", f"{path} end {self.request.id}")


@app.task(
    bind=True,
    agent_type="code_reviewer",
    needs=Resources(cores=app_cores(0.6), memory_mb=100),
)
def claim_host(self: Any, seconds: float) -> str:
    """Hold more than half of the host's cores."""
    client = redis.Redis.from_url(url)
    client.rpush("edits", f"host begin {self.request.id}")
    threading.Event().wait(seconds)
    client.rpush("edits", f"host end {self.request.id}")
    return self.request.id
