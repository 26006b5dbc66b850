"""Real worker processes for tests: started, signalled and ended by the test that started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

import redis

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

#: gevent 26 patches too late once anything of Celery is imported.
GEVENT_FIRST = ("-c", "from gevent import monkey; monkey.patch_all(); from celery.__main__ import main; main()")

ROOT = Path(__file__).parents[2]

#: Environment of a short lease, so that a test need not wait for the usual one.
QUICK = {
    "HIVE_DELIVERY_LEASE_S": "2.4",
    "HIVE_DELIVERY_RENEW_EVERY_S": "0.6",
    "HIVE_DELIVERY_REAP_EVERY_S": "0.3",
    "HIVE_BROKER_SOCKET_TIMEOUT_S": "2",
}


class WorkerProcess:
    """``celery -A tests.support.delivery_app worker`` on a test's broker.

    Args:
        server: the broker.
        pool: prefork, threads, solo.
        concurrency: slots.
        url: another way to the broker, such as through a proxy.
        options: further command line arguments.
        environment: further environment, such as ``HIVE_DELIVERY_LEASE_S``.
        app: the application, configured by DELIVERY_URL.
    """

    def __init__(
        self,
        server: RedisServer,
        *,
        pool: str = "threads",
        concurrency: int = 2,
        url: str | None = None,
        options: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        app: str = "tests.support.delivery_app",
    ) -> None:
        self.server = server
        self.log = server.directory / f"worker-{os.urandom(4).hex()}.log"
        command = [
            sys.executable, *(GEVENT_FIRST if pool == "gevent" else ("-m", "celery")), "-A", app, "worker", "-P", pool,
            "-c", str(concurrency), "-l", "INFO", "-n", f"{os.urandom(4).hex()}@test", "-Q", "celery",
            "--without-mingle", "--without-gossip", *options,
        ]  # fmt: skip
        variables = {**os.environ, "DELIVERY_URL": url or server.url, "PYTHONPATH": str(ROOT), **(environment or {})}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=variables, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def ready(self) -> "WorkerProcess":
        """Return once it consumes."""
        eventually(lambda: " ready." in self.text() or self._fail(), what="worker ready")
        return self

    def _fail(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(self.text())
        return False

    def text(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace")

    def until_logged(self, text: str, times: int = 1) -> None:
        """Wait for a text in its log: what a worker says of a task may come after the task's result."""
        eventually(lambda: self.text().count(text) >= times, what=f"{text!r} is logged")

    def kill(self) -> None:
        """Kill it and its pool children at once, as a machine that dies does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)

    def signal(self, number: int) -> None:
        """Send a signal to the main process."""
        self.process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


def traces(server: RedisServer, event: str = "start", task_id: str | None = None) -> list[str]:
    """Return the ids of the tasks that left a trace of this kind, in order, one for each."""
    client: redis.Redis = server.client()
    lines = [line.decode().split() for line in client.lrange("trace", 0, -1)]
    return [id_ for id_, kind, _ in lines if kind == event and task_id in {None, id_}]
