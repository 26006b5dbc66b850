"""A TCP relay before a broker, with faults on request."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from hive.testing.resp import CommandReader

T = TypeVar("T")

#: Linger for no time: closing sends a reset, not an orderly end.
_RESET = struct.pack("ii", 1, 0)

#: Bytes read at once from either side.
_CHUNK_BYTES = 65_536


class FaultProxy:
    """Relays connections to a broker, and delays, holds, resets or cuts them when told to.

    Safe to use from any thread. Start and stop may be repeated.

    Args:
        host: host of the broker.
        port: its TCP port.
        listen_port: port to listen on at 127.0.0.1; 0 takes a free one.

    Attributes:
        latency_s: seconds that every reply is held back.
        requests: times a client spoke after it had been answered: a pipeline or a script counts once.
        commands: commands that passed, by name.
        connections: connections accepted so far.

    Example:
        >>> with FaultProxy("127.0.0.1", 6379) as proxy:  # doctest: +SKIP
        ...     proxy.reset()
    """

    def __init__(self, host: str, port: int, listen_port: int = 0) -> None:
        self._target = (host, port)
        self.port = listen_port
        self.latency_s = 0.0
        self.requests = 0
        self.connections = 0
        self.commands: Counter[str] = Counter()
        self._open: set[_Connection] = set()
        self._cuts: list[tuple[str, threading.Event]] = []
        self._refusing = False
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._flowing: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """Address of database 0 through the relay."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Listen, and return once connections are taken."""
        if self._thread is None:
            self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fault-proxy", daemon=True)
            self._thread.start()
            self._ready.wait()
        return self

    def stop(self) -> None:
        """Reset every connection, stop listening, and return when that is done."""
        if self._thread is None or self._stopping is None:
            return
        self._ask(self._stopping.set)
        self._thread.join()
        self._thread = None
        self._ready.clear()

    def reset(self) -> int:
        """Reset every open connection on both sides; new ones are taken. Returns how many there were."""
        return self._ask(self._reset)

    def black_hole(self) -> None:
        """Let nothing pass any more in either direction, on old connections and new, and close none of them."""
        self._ask(self._hold)

    def refuse(self) -> None:
        """Reset every connection, and every new one as soon as it is made, until :meth:`heal`."""
        self._ask(self._refuse)

    def heal(self) -> None:
        """End :meth:`black_hole` and :meth:`refuse`; bytes held back are delivered, as a network delivers them."""
        self._ask(self._release)

    def cut_reply(self, command: str) -> threading.Event:
        """Let the next ``command`` through to the broker, and reset its connection in place of its reply.

        Returns:
            An event that is set once it has happened. Each call cuts one reply, in the order of the calls.
        """
        happened = threading.Event()
        self._ask(lambda: self._cuts.append((command.upper(), happened)))
        return happened

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _ask(self, function: Callable[[], T]) -> T:
        """Run ``function`` in the relay's thread and return what it returns."""
        if self._loop is None or self._thread is None:
            raise RuntimeError("the proxy is not started")

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._flowing = asyncio.Event(), asyncio.Event()
        self._flowing.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        self._reset()
        tasks = [connection.task for connection in self._open if connection.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = _Connection(self, reader, writer)
        if self._refusing:
            connection.reset()
            return
        self._open.add(connection)
        try:
            await connection.relay(*self._target)
        finally:
            self._open.discard(connection)

    def _reset(self) -> int:
        found = list(self._open)
        for connection in found:
            connection.reset()
        return len(found)

    def _refuse(self) -> None:
        self._refusing = True
        self._reset()

    def _hold(self) -> None:
        if self._flowing is not None:
            self._flowing.clear()

    def _release(self) -> None:
        self._refusing = False
        if self._flowing is not None:
            self._flowing.set()

    async def flowing(self) -> None:
        """Wait while the relay is a black hole."""
        if self._flowing is not None:
            await self._flowing.wait()

    def passed(self, names: list[str], *, is_new_request: bool) -> threading.Event | None:
        """Count what a client sent; return the event of a cut asked for one of ``names``, which is now due."""
        self.requests += is_new_request
        self.commands.update(names)
        for cut in self._cuts:
            if cut[0] in names:
                self._cuts.remove(cut)
                return cut[1]
        return None


class _Connection:
    """One client's connection and its twin to the broker."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = (reader, writer)
        self._writers = [writer]
        self._commands = CommandReader()
        self._answered = True
        self._cut: threading.Event | None = None
        self.task = asyncio.current_task()

    async def relay(self, host: str, port: int) -> None:
        """Relay until either side closes."""
        try:
            await self._proxy.flowing()
            reader, writer = await asyncio.open_connection(host, port)
            self._writers.append(writer)
            up = asyncio.create_task(self._requests(self._client[0], writer))
            down = asyncio.create_task(self._replies(reader, self._client[1]))
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        except OSError:
            # The broker is away: the client sees its connection closed, as without a relay.
            self.reset()
        finally:
            for writer in self._writers:
                writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._proxy.flowing()
            cut = self._proxy.passed(self._commands.feed(data), is_new_request=self._answered)
            self._cut = self._cut or cut
            self._answered = False
            writer.write(data)
            await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            await self._proxy.flowing()
            if self._cut is not None:
                self.reset()
                self._cut.set()
                return
            if self._proxy.latency_s > 0:
                await asyncio.sleep(self._proxy.latency_s)
            self._answered = True
            writer.write(data)
            await writer.drain()

    def reset(self) -> None:
        """Abort both sides at once."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
