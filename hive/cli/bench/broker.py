"""The broker that both sides take turns on: a private one, or one that is given and never flushed."""

import contextlib
import secrets
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from hive.errors import BrokerMissingError
from hive.runtime.binary import find_server
from hive.store.connection import connect

#: Seconds a private broker may take to answer.
START_TIMEOUT_S = 10.0

#: Keys looked at in one step of removing what bears our prefix.
SCAN_KEYS = 1_000


class BenchBroker:
    """One broker's address and the few things a measure asks of it.

    Args:
        url: its address.
        prefix: put before every key on a broker that is not ours; empty on a private one.
    """

    def __init__(self, url: str, prefix: str = "") -> None:
        self.url, self.prefix = url, prefix
        self.client = connect(url)

    def requests(self) -> int:
        """Return how often clients' bytes were read since the server started: about one for each request."""
        return int(self._info("stats")["total_reads_processed"])

    def version(self) -> str:
        """Return name and version of the server."""
        info = self._info("server")
        if "valkey_version" in info:
            return f"valkey {info['valkey_version']}"
        return f"redis {info['redis_version']}"

    def backlog(self, queue: str) -> int:
        """Return how many messages wait in the plain list of a queue."""
        return int(self.client.llen(self.prefix + queue))

    def clear(self) -> None:
        """Remove everything of ours: all of a private broker, or what bears the prefix of this run."""
        if not self.prefix:
            self.client.flushall()
            return
        for pattern in (f"{self.prefix}*", f"{{{self.prefix}*"):
            for key in self.client.scan_iter(match=pattern, count=SCAN_KEYS):
                self.client.unlink(key)

    def _info(self, section: str) -> dict[str, Any]:
        return self.client.info(section)


@contextlib.contextmanager
def opened(url: str | None) -> Iterator[BenchBroker]:
    """Lend a broker: the one at ``url`` behind a prefix of this run, else a private one that is ended afterwards.

    Raises:
        BrokerMissingError: no server is installed, or it does not answer.
    """
    if url is None:
        with private_broker() as private:
            yield private
        return
    broker = BenchBroker(url, prefix=f"hive-bench-{secrets.token_hex(4)}:")
    try:
        yield broker
    finally:
        broker.clear()


@contextlib.contextmanager
def private_broker() -> Iterator[BenchBroker]:
    """Start a broker on a free port of 127.0.0.1, with the append-only file on, and end it afterwards.

    Raises:
        BrokerMissingError: no server is installed, or it does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as directory:
        port = _free_port()
        command = [str(find_server().path), "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", "",
                   "--appendonly", "yes", "--appendfsync", "everysec", "--daemonize", "no"]  # fmt: skip
        # Ctrl-C is for the bench, which ends its workers while there is a broker.
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            _wait_until_open(port, process)
            yield BenchBroker(f"redis://127.0.0.1:{port}/0")
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    pause = threading.Event()
    for _ in range(int(START_TIMEOUT_S / 0.02)):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        pause.wait(0.02)
    raise BrokerMissingError(f"the private broker on port {port} does not answer (exit code {process.poll()})")
