"""Workers of the application under chaos: started, killed, stopped and counted."""

import base64
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis.backoff import NoBackoff
from redis.retry import Retry

from hive import Hive
from hive.settings.parts import DeliverySettings
from hive.store.keys import Layout
from hive.store.store import Store
from tests.chaos.ledger import Ledger
from tests.chaos.workload import QUEUE, Chaos, build
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Worker:
    """One start of a worker.

    Attributes:
        name: unique among all starts of a run.
        process: leader of its own process group.
    """

    name: str
    process: subprocess.Popen[bytes]

    def signal(self, number: int) -> None:
        """Send a signal to the worker and all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class Fleet:
    """A broker's workers and publisher; all are ended when the block is left.

    Args:
        server: the broker.
        pool: Celery's pool.
        concurrency: slots of a worker.
        delivery: hive's delivery settings that differ from the defaults.
        told: further fields of :class:`Chaos`.
        url: another address of the broker, such as a proxy's, for the workers.
    """

    def __init__(
        self,
        server: RedisServer,
        *,
        pool: str = "threads",
        concurrency: int = 4,
        delivery: dict[str, float] | None = None,
        url: str | None = None,
        **told: Any,
    ) -> None:
        self.server, self.pool, self.concurrency = server, pool, concurrency
        self._directory = tempfile.TemporaryDirectory(prefix="hive-chaos-")
        self.directory = Path(self._directory.name)
        (self.directory / "clock").write_text("0")
        self.chaos = Chaos(broker=url or server.url, directory=str(self.directory), delivery=delivery or {}, **told)
        self.ledger = Ledger(self.directory / "effects")
        self.app: Hive = build(replace(self.chaos, broker=server.url))
        self.workers: list[Worker] = []
        self.faulted: set[str] = set()
        self._names = (f"w{number}" for number in itertools.count())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        for worker in list(self.workers):
            worker.signal(signal.SIGKILL)
            worker.process.wait()
        self.app.close()
        if exc is not None:
            print(self.log()[-6_000:])
        self._directory.cleanup()

    def log(self) -> str:
        """Return what all workers logged."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def store(self) -> Store:
        """Return a store of the test's own on the broker."""
        client = self.server.client(retry=Retry(NoBackoff(), 0))
        return Store(client, layout=Layout(), settings=DeliverySettings(**self.chaos.delivery))  # type: ignore[arg-type]

    def start(self, count: int = 1, *, wait: bool = True, **told: Any) -> list[Worker]:
        """Start workers, and wait until each consumes."""
        started = [self._start(replace(self.chaos, worker=next(self._names), **told)) for _ in range(count)]
        if wait:
            for worker in started:
                self.until_up(worker)
        return started

    def until_up(self, worker: Worker) -> None:
        """Wait until a worker consumes."""
        eventually(
            lambda: any(up.worker == worker.name for up in self.ledger.of("up")), 60, what=f"{worker.name} consumes"
        )

    def _start(self, chaos: Chaos) -> Worker:
        command = [sys.executable, "-m", "celery", "-A", "tests.chaos.workload", "worker", "-Q", QUEUE, "-l", "warning",
                   "-P", self.pool, "-c", str(self.concurrency), "-n", f"{chaos.worker}@%h", "--without-gossip",
                   "--without-mingle", "--without-heartbeat"]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **chaos.environment()}, stdout=log,
                                       stderr=log, start_new_session=True)  # fmt: skip
        worker = Worker(chaos.worker, process)
        self.workers.append(worker)
        return worker

    def publisher(self, count: int, *kind: str, **told: Any) -> None:
        """Publish a bit of everything from a process of its own, which may be told to die on the way.

        Args:
            count: how many.
            kind: name and lane of one kind to publish instead.
            told: further fields of :class:`Chaos`.
        """
        self._aside("publisher", "tests.chaos.workload", str(count), *kind, **told)

    def operator(self, action: str, **told: Any) -> None:
        """Let an operator do something in a process of its own, which may be told to die on the way."""
        ended = self._aside("operator", "tests.chaos.operators", action, **told)
        assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr.decode()

    def _aside(self, name: str, module: str, *arguments: str, **told: Any) -> subprocess.CompletedProcess[bytes]:
        chaos = replace(self.chaos, worker=name, **told)
        self.faulted.add(name)
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT, env={**os.environ, **chaos.environment()}, capture_output=True, check=False,
            start_new_session=True, timeout=200,
        )  # fmt: skip

    def kill(self, worker: Worker) -> None:
        """End a worker and all its children with SIGKILL; what it had started may start once more."""
        self.faulted.add(worker.name)
        worker.signal(signal.SIGKILL)
        worker.process.wait()
        self.workers.remove(worker)

    def terminate(self, worker: Worker, timeout_s: float = 60) -> None:
        """Ask a worker to stop warmly, and wait until it has."""
        worker.process.terminate()
        worker.process.wait(timeout_s)
        self.workers.remove(worker)

    def publish(
        self, ids: Sequence[str], task: str = "chaos.work", arguments: Sequence[Any] = (), **options: Any
    ) -> None:
        """Publish one message per id and note it as accepted."""
        signature = self.app.tasks[task]
        for id_ in ids:
            signature.apply_async((id_, *arguments), ignore_result=True, **options)
            self.ledger.published.add(id_)

    def until_finished(self, count: int, timeout_s: float) -> None:
        """Wait until that many tasks have finished."""
        eventually(lambda: self.ledger.finished() >= count, timeout_s, what=f"{count} finished")

    def dead(self) -> list[str]:
        """Return the ids of the tasks that are dead letters: the first argument of each."""
        letters = self.store().dead_letters(QUEUE, count=1_000)
        return [letter_task(letter.payload) for letter in letters]

    def backlog(self) -> int:
        """Return how many messages are ready."""
        with contextlib.closing(self.server.client()) as client:
            return int(client.llen(QUEUE))  # type: ignore[arg-type]


def letter_task(payload: bytes) -> str:
    """Return the first argument of the task in an envelope."""
    body = json.loads(base64.b64decode(json.loads(payload)["body"]))
    return str(body[0][0])
