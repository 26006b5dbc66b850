"""The asyncio pool beside stock Celery's threads pool, each on a broker of its own, in turn.

    python benchmarks/asyncio_pool.py [ROW]... [--rounds N] [--scale PART]

Each row loads a queue first and then lets one worker process consume it. Times run from that moment to the last body's
end; memory is the worker's largest resident set; processor time is the worker's own. Stock Celery is tuned: late
acknowledgement, reject on worker lost, the same prefetch, events off. Results are off unless the row says so.

Caveats: the broker and the loader share the machine's cores with the worker; a thread per waiting task is what stock
Celery 5.7 offers in one process, so rows that need more than 1,000 at once have no stock twin.
"""

import argparse
import asyncio
import ctypes
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import celery
import psutil
import redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from hive import Hive
from tests.support.redis_server import RedisServer, free_port

QUEUE, IDLE = "bench", "bench-idle"
POOLS = {"stock": "threads", "hive": "hive.pools:AsyncioPool"}
PREFETCH = 4


@dataclass(frozen=True)
class Row:
    """One line of the table: a load for one worker process."""

    name: str
    task: str
    count: int
    slots: int
    args: tuple[Any, ...] = ()
    results: bool = False
    with_stock: bool = True
    bar: str = ""


@dataclass(frozen=True)
class Measured:
    """What one worker did with one load."""

    seconds: float
    per_second: float
    cpu_s: float
    peak_mb: float
    starts: int = 0
    named: int = 0
    found: str = ""


ROWS = {
    row.name: row
    for row in (
        Row("waiting", "wait", 2_000, 500, (1.0,), bar="<= 4.3 s, <= 80 MB, less CPU than stock"),
        Row("burst", "wait", 10_000, 10_000, (5.0,), with_stock=False, bar="<= 8 s, <= 350 MB"),
        Row("noop", "noop", 60_000, 100, bar=">= 6 times stock"),
        Row("noop with results", "noop", 10_000, 100, results=True, bar=""),
        Row("http", "fetch", 100_000, 200, with_stock=False, bar="0 errors, 0 leaked tasks or connections"),
        Row("compute", "compute", 2, 10, (10.0,), with_stock=False, bar="2 starts, 2 named"),
        Row("native", "native", 1, 10, (12,), with_stock=False, bar="named; finished once"),
    )
}


def build(kind: str, url: str, results: bool) -> celery.Celery:
    """Return an application with the same tasks: plain functions for stock Celery, coroutines for hive."""
    if kind == "stock":
        app = celery.Celery("bench", broker=url, backend=url)
        app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)
    else:
        app = Hive("bench", broker=url, backend=url)
    app.conf.update(
        task_queues=None,
        task_default_queue=QUEUE,
        task_ignore_result=not results,
        task_track_started=False,
        task_send_sent_event=False,
        worker_send_task_events=False,
        worker_prefetch_multiplier=PREFETCH,
        worker_pool=POOLS[kind],
        worker_hijack_root_logger=False,
    )
    (_plain_tasks if kind == "stock" else _coroutine_tasks)(app)
    return app


class Finish:
    """Notes when the last of a known number of bodies has ended."""

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._client = redis.Redis.from_url(os.environ["BENCH_URL"])
        self._last = int(os.environ["BENCH_COUNT"])

    def one(self, **found: int) -> None:
        """Count a body that has ended, and keep what was found out if it is the last."""
        if next(self._count) == self._last:
            if found:
                self._client.hset("bench:found", mapping=found)
            self._client.set("bench:done", time.time())

    def begin(self) -> None:
        """Count a body that begins."""
        self._client.incr("bench:starts")


def _plain_tasks(app: celery.Celery) -> None:
    finish = Finish()

    @app.task(name="wait", shared=False)
    def wait(seconds: float) -> None:
        time.sleep(seconds)
        finish.one()

    @app.task(name="noop", shared=False)
    def noop() -> None:
        finish.one()


def _coroutine_tasks(app: Any) -> None:
    finish = Finish()
    errors: list[str] = []

    @app.lifespan
    async def clients(_app: Any) -> AsyncIterator[dict[str, Any]]:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: errors.append(str(what)))
        connections = [await asyncio.open_connection("127.0.0.1", int(os.environ["BENCH_HTTP"])) for _ in range(50)]
        pool: asyncio.Queue[Any] = asyncio.Queue()
        for connection in connections:
            pool.put_nowait(connection)
        yield {"http": pool}

    @app.task(name="wait", shared=False)
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)
        finish.one()

    @app.task(name="noop", shared=False)
    async def noop() -> None:
        finish.one()

    @app.task(name="fetch", shared=False)
    async def fetch() -> None:
        pool = app.lifespan["http"]
        reader, writer = connection = await pool.get()
        try:
            writer.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            answer = await reader.readuntil(b"hello")
            if not answer.startswith(b"HTTP/1.1 200"):
                errors.append("answer")
        finally:
            pool.put_nowait(connection)
        tasks = len(asyncio.all_tasks())
        finish.one(errors=len(errors), connections_back=pool.qsize(), tasks_alive=tasks)

    @app.task(name="compute", shared=False)
    async def compute(seconds: float) -> None:
        finish.begin()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(1000))
        finish.one()

    @app.task(name="native", shared=False)
    async def native(seconds: int) -> None:
        finish.begin()
        # A foreign function that is called with the interpreter's lock held, as a long regex is.
        ctypes.PyDLL(None).sleep(seconds)
        finish.one()


async def _serve_http(port: int) -> None:
    """Answer every request on 127.0.0.1 with a word."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


def measure(kind: str, row: Row) -> Measured:
    """Load the queue, let one worker consume it, and return what it took."""
    server = RedisServer().start()
    port = free_port()
    os.environ.update(BENCH_URL=server.url, BENCH_COUNT=str(row.count), BENCH_HTTP=str(port), HIVE_WORKER_GRACE_S="1")
    http = subprocess.Popen([sys.executable, __file__, "--http", str(port)], stderr=subprocess.DEVNULL)
    app = build(kind, server.url, row.results)
    worker = Worker(kind, row, server.url)
    try:
        worker.wait_ready(app)
        load(app, row)
        return worker.consume(app, server, row)
    finally:
        worker.close()
        http.kill()
        http.wait()
        app.close()
        server.close()


def load(app: celery.Celery, row: Row) -> None:
    """Publish the load on one connection."""
    task = app.tasks[row.task]
    with app.producer_or_acquire() as producer:
        for _ in range(row.count):
            task.apply_async(row.args, producer=producer)


class Worker:
    """One worker process under measurement."""

    def __init__(self, kind: str, row: Row, url: str) -> None:
        command = [sys.executable, __file__, "--serve", kind, "--slots", str(row.slots), "--url", url]
        command += ["--results"] if row.results else []
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "C_FORCE_ROOT": "1"})
        self.info = psutil.Process(self.process.pid)

    def wait_ready(self, app: celery.Celery) -> None:
        """Return once the worker answers."""
        while not app.control.ping(timeout=0.3):
            if self.process.poll() is not None:
                raise RuntimeError("the worker ended")

    def consume(self, app: celery.Celery, server: RedisServer, row: Row) -> Measured:
        """Let the worker consume the load, and return what it took."""
        client = server.client()
        cpu_before = sum(self.info.cpu_times()[:2])
        begun = time.time()
        app.control.add_consumer(QUEUE)
        while (done := client.get("bench:done")) is None:
            if self.process.poll() is not None or time.time() - begun > 300:
                raise RuntimeError(f"the worker did not finish {row.name}")
            time.sleep(0.01)
        cpu_s = sum(self.info.cpu_times()[:2]) - cpu_before
        seconds = float(done) - begun
        stats = app.control.inspect(timeout=2).stats() or {}
        named = sum(one["pool"].get("blocked", 0) for one in stats.values())
        found = {name.decode(): int(value) for name, value in client.hgetall("bench:found").items()}
        return Measured(
            seconds=seconds,
            per_second=row.count / seconds,
            cpu_s=cpu_s,
            peak_mb=_peak_mb(self.process.pid),
            starts=int(client.get("bench:starts") or 0),
            named=named,
            found=json.dumps(found) if found else "",
        )

    def close(self) -> None:
        """End the worker."""
        self.process.kill()
        self.process.wait()


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def serve(kind: str, url: str, slots: int, results: bool) -> None:
    """Be the worker."""
    app = build(kind, url, results)
    options = [
        "-c",
        str(slots),
        "-Q",
        IDLE,
        "-l",
        "error",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    app.worker_main(["worker", *options])


def main() -> None:
    """Measure the rows that are asked for, stock and hive in turn, and print a record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="part of each load")
    parser.add_argument("--only", choices=POOLS)
    parser.add_argument("--serve", choices=POOLS)
    parser.add_argument("--url")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--results", action="store_true")
    parser.add_argument("--http", type=int)
    options = parser.parse_args()
    if options.http:
        asyncio.run(_serve_http(options.http))
    if options.serve:
        serve(options.serve, options.url, options.slots, options.results)
        return
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "celery": celery.__version__}
    print(json.dumps({**machine, "load_before": os.getloadavg()[0]}), flush=True)
    for name in options.rows:
        run(ROWS[name], options.rounds, options.scale, options.only)


def run(row: Row, rounds: int, scale: float, only: str | None) -> None:
    """Measure one row, print each round and the medians."""
    row = replace(row, count=max(1, round(row.count * scale)))
    kinds = [only] if only else list(POOLS) if row.with_stock else ["hive"]
    seen: dict[str, list[Measured]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            seen[kind].append(measure(kind, row))
            print(json.dumps({"row": row.name, "kind": kind, **asdict(seen[kind][-1])}), flush=True)
    summary: dict[str, Any] = {"row": row.name, "count": row.count, "slots": row.slots, "bar": row.bar}
    for kind, rows in seen.items():
        summary[f"{kind}_seconds"] = round(statistics.median(one.seconds for one in rows), 2)
        summary[f"{kind}_peak_mb"] = round(statistics.median(one.peak_mb for one in rows))
        summary[f"{kind}_cpu_s"] = round(statistics.median(one.cpu_s for one in rows), 2)
    if len(kinds) == 2:
        ratios = [slow.seconds / fast.seconds for slow, fast in zip(*seen.values(), strict=True)]
        summary["times_stock"] = round(statistics.median(ratios), 2)
    print(json.dumps(summary), flush=True)


if __name__ == "__main__":
    main()
