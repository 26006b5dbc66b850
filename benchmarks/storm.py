"""A retry storm: a dependency is down while thousands of tasks call it, and comes back.

    python benchmarks/storm.py [ROW]... [--tasks 10000] [--down-s 60] [--capacity 200] [--pace 1] [--workers 2] [--json]

A small server of its own process is the dependency: it hangs up on every call while it is down, and answers at most
``capacity`` calls a second afterwards; what comes beyond that is refused as busy. It notes when each call arrived. Real
workers (asyncio pool) on a real broker run the tasks, which were all published before. The rows:

batched   BatchedRetry: failures wait on the broker, one probes, the rest is released at `--pace` times the capacity
budget    ExponentialRetry with a RetryBudget of half the capacity
bare      ExponentialRetry alone, for comparison: what the two are for

Offered load is the most calls in any one second after the dependency came back. The bar is twice the capacity, and that all
tasks are done.

Half for the budget, because it says when attempts are due: workers that a busy host keeps from running for a second or two
begin all that fell due meanwhile at once. `batched` releases the next only as others begin, so it may go at full capacity.

Caveats: all processes share one machine. `budget` goes on calling the dependency at its rate while that is down, which
`batched` does not; and it bounds retries only: first attempts that come late because of them are not its to hold back.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import threading
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from hive import BatchedRetry, ExponentialRetry, Hive, RetryBudget, RetryStrategy, SystemClock
from tests.support.redis_server import RedisServer, free_port

QUEUE, DEPENDENCY = "storm", "provider"
ROWS = ("batched", "budget", "bare")


def strategy(row: str, capacity: int, pace: float) -> RetryStrategy:
    """Return the row's strategy."""
    if row == "batched":
        return BatchedRetry(dependency=DEPENDENCY, release_per_s=capacity * pace, probe_s=0.5, probe_cap_s=2.0)
    budget = RetryBudget(dependency=DEPENDENCY, share=0.0, min_per_s=capacity / 2, window_s=1.0)
    return ExponentialRetry(max_retries=None, cap_s=20.0, budget=budget if row == "budget" else None)


def build(url: str, row: str, capacity: int, port: int, pace: float = 1.0) -> Hive:
    """Return the application; its one task calls the dependency."""
    app = Hive("storm", broker=url, backend=url, set_as_current=False)
    app.conf.update(task_queues=None, task_default_queue=QUEUE, task_ignore_result=True)
    app.conf.update(worker_pool="hive.pools:AsyncioPool", worker_hijack_root_logger=False)
    client = redis.Redis.from_url(url)

    @app.task(name="call", bind=True, shared=False, retry=strategy(row, capacity, pace))
    async def call(self: Any) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"retry\n" if self.request.retries else b"call\n")
            answer = await reader.readline()
        finally:
            writer.close()
        if answer != b"ok\n":
            raise ConnectionError(answer.decode() or "it hung up")
        client.incr("storm:done")

    app.finalize()
    return app


class Dependency:
    """The server: down at first, then up with a capacity."""

    def __init__(self, down_s: float, capacity: int) -> None:
        self._now_s = SystemClock().monotonic_s
        self._down_s, self._capacity = down_s, capacity
        self._up_at_s: float | None = None
        self._calls: list[float] = []
        self._retries: list[float] = []
        self._answered: list[float] = []

    async def serve(self, port: int) -> None:
        """Answer for ever."""
        server = await asyncio.start_server(self._handle, "127.0.0.1", port, backlog=4096)
        async with server:
            await server.serve_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line == b"report\n":
            report = {
                "up_at_s": self._up_at_s,
                "calls": self._calls,
                "retries": self._retries,
                "answered": len(self._answered),
            }
            writer.write(json.dumps(report).encode() + b"\n")
        elif line in {b"call\n", b"retry\n"}:
            writer.write(self._answer(is_retry=line == b"retry\n"))
        await writer.drain()
        writer.close()

    def _answer(self, *, is_retry: bool) -> bytes:
        now_s = self._now_s()
        if self._up_at_s is None:
            # It breaks down with the first call.
            self._up_at_s = now_s + self._down_s
        self._calls.append(now_s)
        if is_retry:
            self._retries.append(now_s)
        if now_s < self._up_at_s:
            return b""
        if len(self._answered) - bisect_left(self._answered, now_s - 1.0) >= self._capacity:
            return b"busy\n"
        self._answered.append(now_s)
        return b"ok\n"


async def report_of(port: int) -> dict[str, Any]:
    """Ask the dependency what it has seen."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024 * 1024)
    writer.write(b"report\n")
    found: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    return found


def peak_per_s(times_s: Sequence[float]) -> int:
    """Return the most calls in any one second."""
    return max((bisect_left(times_s, at_s + 1.0) - place for place, at_s in enumerate(times_s)), default=0)


def run(
    row: str, *, tasks: int, down_s: float, capacity: int, pace: float, workers: int, timeout_s: float
) -> dict[str, Any]:
    """Run one row on a broker and a dependency of its own and return its figures."""
    port, server = free_port(), RedisServer().start()
    here = [sys.executable, str(Path(__file__).resolve())]
    started = [subprocess.Popen([*here, "--serve", str(port), str(down_s), str(capacity)])]
    try:
        app = build(server.url, row, capacity, port, pace)
        with app.batch():
            for _ in range(tasks):
                app.tasks["call"].delay()
        arguments = ["--work", server.url, row, str(capacity), str(port), str(pace)]
        with (server.directory / "workers.log").open("wb") as log:
            started += [
                subprocess.Popen([*here, *arguments], stdout=log, stderr=log, env={**os.environ, "C_FORCE_ROOT": "1"})
                for _ in range(workers)
            ]
        seconds = _until_done(server, tasks, timeout_s)
        found = asyncio.run(report_of(port))
        done = int(server.client().get("storm:done") or 0)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(60)
        server.close()
    up_at_s = found["up_at_s"]
    after = [at_s for at_s in found["calls"] if at_s >= up_at_s]
    return {
        "row": row,
        "tasks": tasks,
        "done": done,
        "down_s": down_s,
        "capacity_per_s": capacity,
        "pace": pace if row == "batched" else None,
        "calls_while_down": len(found["calls"]) - len(after),
        "calls_after": len(after),
        "refused_after": len(after) - found["answered"],
        "peak_after_per_s": peak_per_s(after),
        "peak_retries_after_per_s": peak_per_s([at_s for at_s in found["retries"] if at_s >= up_at_s]),
        "first_call_after_s": round(after[0] - up_at_s, 2) if after else None,
        "last_call_after_s": round(after[-1] - up_at_s, 2) if after else None,
        "seconds": round(seconds, 1),
    }


def _until_done(server: RedisServer, tasks: int, timeout_s: float) -> float:
    clock, pause, client = SystemClock(), threading.Event(), server.client()
    began_s = clock.monotonic_s()
    while int(client.get("storm:done") or 0) < tasks and clock.monotonic_s() - began_s < timeout_s:
        pause.wait(0.2)
    return clock.monotonic_s() - began_s


def show(found: dict[str, Any]) -> None:
    """Print one row."""
    limit = 2 * found["capacity_per_s"]
    met = found["peak_after_per_s"] <= limit and found["done"] == found["tasks"]
    print(
        f"{found['row']:<8} done {found['done']}/{found['tasks']} in {found['seconds']} s; calls while down "
        f"{found['calls_while_down']}, after {found['calls_after']} ({found['refused_after']} refused), peak "
        f"{found['peak_after_per_s']}/s (retries {found['peak_retries_after_per_s']}/s) of at most {limit}: "
        f"{'met' if met else 'MISSED'}; first and last call "
        f"{found['first_call_after_s']} s and {found['last_call_after_s']} s after it came back"
    )


def main() -> None:
    """Measure, or be one of the processes of a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all if none is named")
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--down-s", type=float, default=60.0)
    parser.add_argument("--capacity", type=int, default=200, help="calls a second")
    parser.add_argument("--pace", type=float, default=1.0, help="of `batched`, as a share of the capacity")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout-s", type=float, default=600.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        port, down_s, capacity = options.serve
        asyncio.run(Dependency(float(down_s), int(capacity)).serve(int(port)))
    elif options.work:
        url, row, capacity, port, pace = options.work
        app = build(url, row, int(capacity), int(port), float(pace))
        name = f"{row}-{os.getpid()}@storm"
        app.worker_main(["worker", "-c", "100", "-n", name, "-l", "warning", "--without-gossip", "--without-mingle"])
    else:
        found = []
        for row in options.rows or ROWS:
            found.append(
                run(
                    row,
                    tasks=options.tasks,
                    down_s=options.down_s,
                    capacity=options.capacity,
                    pace=options.pace,
                    workers=options.workers,
                    timeout_s=options.timeout_s,
                )
            )
            if not options.json:
                show(found[-1])
        if options.json:
            print(
                json.dumps(
                    {"machine": {"python": platform.python_version(), "system": platform.platform()}, "rows": found}
                )
            )


if __name__ == "__main__":
    main()
