"""Processes that call one dependency through its breaker, and what they saw; for tests and for benchmarks/breaker.py.

The dependency is a byte in a file: it answers or it is down, and it may hang. Every call that reaches it leaves a line:
wall time in ns, process, generation of the breaker if the call is a probe (else 0), what became of it.
"""

import json
import mmap
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from hive import BreakerOpenError, BreakerSettings, Hive
from hive.guards.circuit import Probe
from hive.resilience.breaker import BreakerState
from hive.store.breakers import BreakerRecord
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
NAME = "dependency"
DOWN, HANGS, STOP = 0, 1, 2
CALL_S = 0.002


@dataclass
class Seen:
    """What was measured.

    Attributes:
        opened_after_s: from the first failure to the opening, by cycle.
        killed: processes killed with a probe in hand, by generation.
    """

    opened_after_s: list[float] = field(default_factory=list)
    killed: Counter[int] = field(default_factory=Counter)


class BreakerFleet:
    """A number of such processes on one broker.

    Args:
        server: the broker.
        count: processes.
        rules: of the breaker.
    """

    def __init__(self, server: RedisServer, count: int, rules: BreakerSettings) -> None:
        self.server, self.rules = server, rules
        self.folder = server.directory / "fleet"
        self.folder.mkdir()
        (self.folder / "control").write_bytes(bytes(8))
        self.control = _control(self.folder)
        self.store = Hive("watch", broker=server.url, backend=server.url).access.store
        self.seen = Seen()
        self.processes = [self._start() for _ in range(count)]

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.support.breaker_fleet", self.server.url, str(self.folder)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([*command, self.rules.model_dump_json()], cwd=ROOT, env=environment)

    def __enter__(self) -> Self:
        eventually(lambda: len(list(self.folder.glob("*.log"))) == len(self.processes), 60, what="all call")
        eventually(lambda: self.store.breaker(NAME), what="one has reported")
        return self

    def __exit__(self, *error: object) -> None:
        self.control[STOP] = 1
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)

    @property
    def record(self) -> BreakerRecord:
        record = self.store.breaker(NAME)
        assert record is not None
        return record

    def cycle(self, *, fails_again: bool = False, kills: bool = False) -> None:
        """Take the dependency down and up again; return once the breaker is closed.

        Args:
            fails_again: it is still down at the first probe.
            kills: the first process that probes hangs, and is killed.
        """
        before = self.record.opened_total
        down_ms = time.time_ns() / 1e6
        self.control[DOWN] = 1
        opened = eventually(lambda: self.record if self.record.opened_total > before else None, what="opened")
        opened_ms = opened.view.until_ms - self.rules.open_s * 1000
        self.seen.opened_after_s.append((opened_ms - down_ms) / 1000)
        if fails_again:
            eventually(lambda: self.record.opened_total > before + 1, what="opened again by a probe")
        self.control[HANGS], self.control[DOWN] = int(kills), 0
        if kills:
            self._kill_prober()
        eventually(lambda: self.record.view.state is BreakerState.CLOSED, 60, what="closed again")

    def _kill_prober(self) -> None:
        half_open = eventually(lambda: self.record if self.record.probes_out else None, what="a probe is out")
        generation = half_open.view.generation
        hanging = (generation, "hangs")
        process_id = eventually(lambda: next((line[1] for line in self.lines() if line[2:] == hanging), None))
        for place, process in enumerate(self.processes):
            if process.pid == process_id:
                process.kill()
                process.wait(60)
                self.seen.killed[generation] += 1
                (self.folder / f"{process_id}.log").rename(self.folder / f"{process_id}.killed")
                self.processes[place] = self._start()
        # Not before: it would have answered.
        self.control[HANGS] = 0

    def closed_stretch(self, seconds: float) -> tuple[int, int]:
        """Let calls pass for a while; return how many reached the dependency, and how many scripts the broker ran."""
        calls, scripts = len(self.lines()), self._scripts()
        threading.Event().wait(seconds)
        return len(self.lines()) - calls, self._scripts() - scripts

    def _scripts(self) -> int:
        return int(self.server.client().info("commandstats")["cmdstat_evalsha"]["calls"])

    def lines(self, pattern: str = "*.log") -> list[tuple[int, int, int, str]]:
        """Return all calls that reached the dependency: when, whose, probe of which generation, what became of it."""
        calls = []
        for path in self.folder.glob(pattern):
            for line in path.read_text().splitlines():
                at_ns, process, generation, what = line.split()
                calls.append((int(at_ns), int(process), int(generation), what))
        return calls

    def probes_by_generation(self) -> Counter[int]:
        """Return how many probes reached the dependency in each half-open time."""
        calls = [*self.lines(), *self.lines("*.killed")]
        return Counter(generation for _, _, generation, _ in calls if generation)


def _control(folder: Path) -> mmap.mmap:
    with (folder / "control").open("r+b") as file:
        return mmap.mmap(file.fileno(), 8)


def _answer(what: str) -> None:
    if what == "down":
        raise ConnectionError(what)


def call_for_ever(url: str, folder: Path, rules: BreakerSettings) -> None:
    """Call the dependency through its breaker until told to stop."""
    control, pause = _control(folder), threading.Event()
    app = Hive("fleet", broker=url, backend=url)
    breaker = app.breaker(NAME, rules)
    with (folder / f"{os.getpid()}.log").open("a", buffering=1) as log:
        while not control[STOP]:
            try:
                with breaker:
                    permit, circuit, _ = app.circuits.entered.get()
                    probed = circuit._view.generation if isinstance(permit, Probe) else 0
                    hangs = bool(probed and control[HANGS])
                    what = "hangs" if hangs else "down" if control[DOWN] else "answers"
                    log.write(f"{time.time_ns()} {os.getpid()} {probed} {what}\n")
                    pause.wait(CALL_S)
                    while hangs and control[HANGS]:
                        pause.wait(CALL_S)
                    _answer(what)
            except ConnectionError:
                continue
            except BreakerOpenError as refused:
                pause.wait(min(refused.retry_after_s, 0.02))
    app.circuits.stop()


if __name__ == "__main__":
    call_for_ever(sys.argv[1], Path(sys.argv[2]), BreakerSettings(**json.loads(sys.argv[3])))
