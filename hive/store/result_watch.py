"""Waiting for results without a thread: one subscription connection for each event loop."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import redis.asyncio
from redis.asyncio import connection
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import TimeoutError as NoReplyError

#: What of a result backend's connection parameters an asyncio connection takes, besides those that begin with `ssl_`.
PARAMETERS = ("host", "port", "db", "username", "password", "path", "credential_provider", "client_name")
#: Connections that read results which are there already, all waiters of a loop together.
READERS = 4
#: Seconds before the subscription is tried again when the broker is away.
RETRY_EVERY_S = 0.5
#: Seconds of silence after which the connection is asked whether it lives.
HEALTH_CHECK_S = 5


class ResultWatch:
    """Waits for values that others store under a key and announce on the channel of the same name.

    Thousands of waiters cost one connection and one task. While the broker is away they wait on; when it is back, what
    was stored meanwhile is read. To be used on one event loop.

    Args:
        parameters: connection parameters of redis-py's synchronous client.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        options = {name: parameters[name] for name in PARAMETERS if parameters.get(name) is not None}
        options |= {name: value for name, value in parameters.items() if name.startswith("ssl_")}
        kind = getattr(parameters.get("connection_class"), "__name__", "Connection")
        # redis-py types the classes of its two halves apart; ours are chosen by the name they share.
        chosen: Any = getattr(connection, kind)
        pool = redis.asyncio.BlockingConnectionPool(
            connection_class=chosen,
            max_connections=READERS,
            timeout=None,
            health_check_interval=HEALTH_CHECK_S,
            **options,
        )
        self._client = redis.asyncio.Redis(connection_pool=pool)
        self._listening = redis.asyncio.Redis(
            connection_pool=redis.asyncio.ConnectionPool(
                connection_class=chosen, health_check_interval=HEALTH_CHECK_S, **options
            )
        )
        self._pubsub: Any = self._listening.pubsub(ignore_subscribe_messages=True)
        self._waiting: dict[bytes, set[asyncio.Queue[bytes]]] = {}
        self._change = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None

    async def until(self, key: str, is_last: Callable[[bytes], bool]) -> bytes:
        """Return the first value of ``key`` that is the last one; cancel it to wait no longer.

        Args:
            key: where the value is stored, and the channel on which it is announced.
            is_last: whether a value is what is waited for, rather than a state on the way.
        """
        name = key.encode()
        inbox: asyncio.Queue[bytes] = asyncio.Queue()
        await self._join(name, inbox)
        try:
            # Subscribed before it is read: a value that comes in between is announced.
            await self._read([name])
            while not is_last(value := await inbox.get()):
                continue
            return value
        finally:
            await self._leave(name, inbox)

    async def close(self) -> None:
        """End the connections; waiters are left waiting, so there should be none. A repeat does nothing."""
        if self._reader is not None:
            self._reader.cancel()
        await self._pubsub.aclose()
        await self._listening.aclose()
        await self._client.aclose()

    async def _join(self, name: bytes, inbox: "asyncio.Queue[bytes]") -> None:
        inboxes = self._waiting.setdefault(name, set())
        inboxes.add(inbox)
        async with self._change:
            if len(inboxes) == 1:
                await self._subscribe([name])
            if self._reader is None or self._reader.done():
                self._reader = asyncio.create_task(self._listen(), name="hive-result-watch")

    async def _leave(self, name: bytes, inbox: "asyncio.Queue[bytes]") -> None:
        inboxes = self._waiting[name]
        inboxes.discard(inbox)
        if not inboxes:
            del self._waiting[name]
            async with self._change:
                if name not in self._waiting:
                    await self._unsubscribe(name)

    async def _subscribe(self, names: list[bytes]) -> None:
        try:
            await self._pubsub.subscribe(*names)
        except (NoConnectionError, NoReplyError, OSError):
            # The reader notices too, subscribes again and reads what was missed.
            return

    async def _unsubscribe(self, name: bytes) -> None:
        try:
            await self._pubsub.unsubscribe(name)
        except (NoConnectionError, NoReplyError, OSError):
            # The connection is gone, and the subscription with it.
            return

    async def _read(self, names: list[bytes]) -> None:
        try:
            values: Any = await self._client.mget(names)
        except (NoConnectionError, NoReplyError, OSError):
            return
        for name, value in zip(names, values, strict=True):
            if value is not None:
                self._hand_out(name, value)

    async def _listen(self) -> None:
        """Hand out what is announced for as long as anybody waits."""
        while self._waiting:
            try:
                message = await self._pubsub.get_message(timeout=1.0)
            except (NoConnectionError, NoReplyError, OSError):
                await self._resume()
                continue
            if message is not None and message["type"] == "message":
                self._hand_out(message["channel"], message["data"])

    async def _resume(self) -> None:
        """Subscribe again to all that is waited for, and read what was stored while nobody listened."""
        await asyncio.sleep(RETRY_EVERY_S)
        async with self._change:
            names = list(self._waiting)
            if names:
                await self._subscribe(names)
        if names:
            await self._read(names)

    def _hand_out(self, name: bytes, value: bytes) -> None:
        for inbox in self._waiting.get(name, ()):
            inbox.put_nowait(value)
