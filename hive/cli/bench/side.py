"""One side of the comparison: its module, its workers, its publisher."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from importlib.resources import files
from pathlib import Path

import psutil

from hive.cli.bench.broker import BenchBroker
from hive.clock import SystemClock
from hive.errors import HiveError

#: The line of the workload that differs, as it stands there.
IMPORT_LINE = "from celery import Celery\n"

#: Seconds all workers of a side may take to consume.
READY_TIMEOUT_S = 60.0

#: Seconds a worker may take for a warm stop before it is killed.
STOP_TIMEOUT_S = 30.0


class Side(Enum):
    """Who is measured; the value is the import line of its module."""

    HIVE = "from hive import Hive as Celery\n"
    STOCK = IMPORT_LINE

    @property
    def label(self) -> str:
        """Name in reports."""
        return self.name.lower()


class MeasureError(HiveError):
    """A measure could not be taken; the sentence says where its log is quoted from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What both sides get alike.

    Attributes:
        pool: Celery's pool of the workers.
        processes: worker commands.
        concurrency: slots of each.
        prefetch: messages held for each slot.
        events: whether workers send task events.
        results: whether results are stored.
    """

    pool: str
    processes: int
    concurrency: int
    prefetch: int
    events: bool = False
    results: bool = False


class Bench:
    """A side set up on a broker, in a directory of its own.

    Args:
        side: who is measured.
        broker: where.
        conditions: how.
        directory: for the module, the logs and the effects.
    """

    queue = "bench"

    def __init__(self, side: Side, broker: BenchBroker, conditions: Conditions, directory: Path) -> None:
        self.side, self.broker, self.conditions, self.directory = side, broker, conditions, directory
        source = files("hive.cli.bench").joinpath("workload.py").read_text(encoding="utf-8")
        if source.count(IMPORT_LINE) != 1:
            raise MeasureError("the workload must import Celery in exactly one line")
        (directory / f"bench_{side.label}.py").write_text(source.replace(IMPORT_LINE, side.value), encoding="utf-8")
        options = {**asdict(conditions), "directory": str(directory), "broker": broker.url, "queue": self.queue}
        self._environment = {**os.environ, "BENCH_OPTIONS": json.dumps({**options, "prefix": broker.prefix})}
        self._workers: list[subprocess.Popen[bytes]] = []

    def size(self, name: str) -> int:
        """Return the bytes of one of the files of effects, 0 if it is not there yet."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / name).stat().st_size
        return 0

    def publish(self, way: str, count: int, seconds: float = 0.0) -> float:
        """Publish from a process of its own; returns the seconds it took without its start."""
        command = [sys.executable, f"bench_{self.side.label}.py", way, str(count), str(seconds)]
        done = subprocess.run(
            command, cwd=self.directory, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MeasureError(f"{self.side.label} could not publish: {done.stderr.strip()[-800:]}")
        return float(json.loads(done.stdout.splitlines()[-1])["seconds"])

    def start(self, *, wait: bool = True) -> None:
        """Start all workers, and wait until each consumes unless told not to."""
        before = self.size("ready")
        conditions = self.conditions
        command = [sys.executable, "-m", "celery", "-A", f"bench_{self.side.label}", "worker", "-l", "error", "-Q", self.queue,
                   "-P", conditions.pool, "-c", str(conditions.concurrency), "--without-gossip", "--without-mingle",
                   "--without-heartbeat", *(["-E"] if conditions.events else [])]  # fmt: skip
        for number in range(conditions.processes):
            with (self.directory / "log").open("ab") as log:
                worker = subprocess.Popen([*command, "-n", f"{self.side.label}{number}@%h"], cwd=self.directory,
                                          env=self._environment, stdout=log, stderr=log,
                                          start_new_session=True)  # fmt: skip
            self._workers.append(worker)
        if wait:
            wanted = before + conditions.processes
            self.until(lambda: self.size("ready") >= wanted, READY_TIMEOUT_S, "all workers consume")

    def stop(self) -> None:
        """End all workers warmly, and by SIGKILL what does not end."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(STOP_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """End all workers with everything they started, as an out-of-memory killer does."""
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self._workers.clear()

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str, every_s: float = 0.005) -> float:
        """Wait for ``condition``; returns the instant, on the monotonic clock, at which it was seen.

        Raises:
            MeasureError: it did not come true, with the end of the workers' log.
        """
        if not seen(condition, timeout_s, every_s):
            raise MeasureError(f"{self.side.label}: not within {timeout_s:g} s: {what}\n{self._log_end()}")
        return SystemClock().monotonic_s()

    def usage(self) -> tuple[float, float]:
        """Return seconds of CPU used and resident megabytes of all workers and their children, living ones only."""
        cpu_s = memory_mb = 0.0
        for worker in self._workers:
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(worker.pid)
                for process in (root, *root.children(recursive=True)):
                    times = process.cpu_times()
                    cpu_s += times.user + times.system
                    memory_mb += process.memory_info().rss / 2**20
        return cpu_s, memory_mb

    def _log_end(self) -> str:
        log = self.directory / "log"
        return log.read_text(errors="replace")[-1_500:] if log.exists() else ""


def seen(condition: Callable[[], bool], timeout_s: float, every_s: float = 0.005) -> bool:
    """Wait for ``condition``; returns whether it came true within ``timeout_s``."""
    clock, pause = SystemClock(), threading.Event()
    deadline_s = clock.monotonic_s() + timeout_s
    while not condition():
        if clock.monotonic_s() > deadline_s:
            return False
        pause.wait(every_s)
    return True


@contextlib.contextmanager
def set_up(side: Side, broker: BenchBroker, conditions: Conditions) -> Iterator[Bench]:
    """Lend a side on a broker cleared of what was ours; its workers are ended and its keys removed afterwards."""
    broker.clear()
    with tempfile.TemporaryDirectory(prefix=f"hive-bench-{side.label}-") as directory:
        bench = Bench(side, broker, conditions, Path(directory))
        try:
            yield bench
        finally:
            bench.kill()
            broker.clear()
