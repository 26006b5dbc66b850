"""The embedded broker: a server of our own on this machine, shared by all commands with the same home.

Whoever needs it first starts it, in a session of its own; everybody else joins. The server inherits the lock on its
data directory, so the lock is held exactly as long as the server lives and nothing stale is left by a crash::

    absent --start--> loading --answers--> ready --stop (hive down), or crash--> absent
"""

import os
import signal
import socket
import subprocess
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import psutil
from kombu import Connection

from hive.clock import SystemClock
from hive.errors import BrokerError, BrokerLockedError, BrokerMissingError, BrokerRefusedError
from hive.runtime.address import broker_password, embedded_url, socket_path
from hive.runtime.binary import find_server
from hive.runtime.connection import open_channel
from hive.runtime.home import Home
from hive.runtime.lock import FileLock
from hive.runtime.patience import LOOK_EVERY_S, until
from hive.settings.model import Settings
from hive.store.probe import BrokerFacts, examine, stop_server


class EmbeddedBroker:
    """The broker that hive runs by itself.

    Args:
        settings: home, port, durability and bounds.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = Home(settings.home)
        self.socket = socket_path(settings)
        self.url = embedded_url(settings)
        self.where = str(self.socket) if not settings.embedded.port else f"127.0.0.1:{settings.embedded.port}"
        self.log = self.home.broker / "broker.log"
        self._lock = FileLock(self.home.broker / "broker.lock")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int | None:
        """The server's process, if it lives."""
        return self._lock.signature() if self.is_running() else None

    def is_running(self) -> bool:
        """Whether a server holds the data directory, ready or not."""
        if self._process is not None:
            self._process.poll()
        return self._lock.is_taken()

    def ensure(self) -> bool:
        """Return once the broker answers; start it if nobody has. Safe to call again, and by several at once.

        Returns:
            Whether this call started it.

        Raises:
            BrokerMissingError: no server to start.
            BrokerRefusedError: it is too old, or refuses our password.
            BrokerLockedError: directory or port cannot be used, or it did not answer within
                ``embedded.start_timeout_s``.
        """
        self.home.prepare()
        started = self._lock.acquire()
        if started:
            try:
                self._start()
            finally:
                self._lock.release()
        self._wait_until_ready()
        return started

    def facts(self) -> BrokerFacts:
        """Ask the broker what it is.

        Raises:
            BrokerMissingError: it does not answer, or still loads its data.
            BrokerRefusedError: it answers, but not to us.
        """
        with self._channel() as channel:
            return examine(channel.client, self.where)

    def stop(self, timeout_s: float = 30.0) -> bool:
        """End the broker; what it holds stays on disk for the next start. A repeat finds nobody.

        Args:
            timeout_s: seconds it may take to write what it holds before it is killed.

        Returns:
            Whether there was one.
        """
        process_id = self.process_id
        if process_id is None:
            return False
        try:
            with self._channel() as channel:
                stop_server(channel.client)
        except BrokerError:
            # It does not answer, or not to us: a signal to the process that holds the lock is what is left.
            _signal(process_id, signal.SIGTERM)
        if not until(lambda: not self.is_running(), timeout_s):
            _signal(process_id, signal.SIGKILL)
            until(lambda: not self.is_running(), timeout_s)
        return True

    def _channel(self) -> AbstractContextManager[Any]:
        options = {"socket_timeout": self.settings.broker.socket_timeout_s}
        return open_channel(Connection(self.url, transport_options=options), self.where)

    def _start(self) -> None:
        binary = find_server()
        if self.settings.embedded.port:
            _check_port(self.settings.embedded.port)
        _own_directory(self.socket.parent)
        self.socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = self._spawn([str(binary.path), str(self._configuration())], log)
        self._lock.sign(self._process.pid)

    def _spawn(self, command: list[str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.home.broker,
            start_new_session=True,
            pass_fds=[self._lock.fd],
        )

    def _configuration(self) -> Path:
        """Write the server's configuration; a file keeps the password out of the list of processes."""
        embedded = self.settings.embedded
        lines = {
            "dir": f'"{self.home.broker.absolute()}"',
            "daemonize": "no",
            "pidfile": f'"{self.home.broker.absolute() / "broker.pid"}"',
            "bind": "127.0.0.1",
            "port": embedded.port,
            "unixsocket": f'"{self.socket}"',
            "unixsocketperm": "700",
            "appendonly": "yes",
            "appendfsync": embedded.appendfsync,
            "save": '""',
            "maxmemory": f"{embedded.max_memory_mb}mb",
            "maxmemory-policy": "noeviction",
            "tcp-keepalive": 60,
        }
        if (password := broker_password(self.settings)) is not None:
            lines["requirepass"] = f'"{password}"'
        path = self.home.broker / "broker.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        return path

    def _wait_until_ready(self) -> None:
        clock, pause = SystemClock(), threading.Event()
        timeout_s = self.settings.embedded.start_timeout_s
        deadline_s = clock.monotonic_s() + timeout_s
        while True:
            try:
                self.facts()
                return
            except BrokerMissingError as exc:
                if not self.is_running():
                    raise BrokerLockedError(f"the broker did not start: {self._last_words()}") from exc
                if clock.monotonic_s() > deadline_s:
                    raise BrokerLockedError(
                        f"process {self._lock.signature()} holds {self.home.broker} but does not answer at {self.where} "
                        f"within {timeout_s:g} s: `hive down` ends it, or set HIVE_HOME to another directory"
                    ) from exc
            except BrokerRefusedError as exc:
                raise BrokerRefusedError(f"{exc} (`hive down` ends it, if it runs with other settings)") from exc
            pause.wait(LOOK_EVERY_S)

    def _last_words(self) -> str:
        """Say why the server ended: the last of the lines that it marks as a warning."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        said = [line.partition(" # ")[2] for line in lines[-20:] if " # " in line and "Exiting" not in line]
        why = next((line for line in reversed(said) if not line.startswith(("Warning: ", "WARNING: "))), "")
        return f"{why or next(reversed(said), 'it said nothing')} (log: {self.log})"


def _check_port(port: int) -> None:
    """Say at once if somebody else listens; asking the stranger would last until its answer is overdue."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as exc:
            raise BrokerLockedError(
                f"port {port} of 127.0.0.1 is taken by another program or forbidden ({exc.strerror}): set embedded.port "
                "(HIVE_EMBEDDED_PORT) to a free one, or to 0 for a unix socket only"
            ) from exc


def _own_directory(path: Path) -> None:
    """Make the socket's directory ours alone: whoever can enter it can use the broker."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid() or path.is_symlink():
        raise BrokerLockedError(f"{path} belongs to somebody else: set HIVE_HOME to a directory of yours")
    path.chmod(0o700)


def _signal(process_id: int, number: signal.Signals) -> None:
    try:
        psutil.Process(process_id).send_signal(number)
    except psutil.NoSuchProcess:
        return
