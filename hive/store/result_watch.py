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
#: Connections of a loop: one listens, others read results which are there already.
CONNECTIONS = 4
#: Seconds for which an unused subscription is kept.
LINGER_S = 10.0
#: What says that the broker is away.
AWAY = (NoConnectionError, NoReplyError, OSError)
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
            max_connections=CONNECTIONS,
            timeout=None,
            health_check_interval=HEALTH_CHECK_S,
            **options,
        )
        self._client = redis.asyncio.Redis(connection_pool=pool)
        self._waiting: dict[bytes, set[asyncio.Queue[bytes]]] = {}
        self._changed = asyncio.Event()
        self._server: asyncio.Task[None] | None = None

    async def until(self, key: str, is_last: Callable[[bytes], bool]) -> bytes:
        """Return the first value of ``key`` that is the last one; cancel it to wait no longer.

        Args:
            key: where the value is stored, and the channel on which it is announced.
            is_last: whether a value is what is waited for, rather than a state on the way.
        """
        name = key.encode()
        inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting.setdefault(name, set()).add(inbox)
        self._changed.set()
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve(), name="hive-result-watch")
        try:
            while not is_last(value := await inbox.get()):
                continue
            return value
        finally:
            inboxes = self._waiting[name]
            inboxes.discard(inbox)
            if not inboxes:
                del self._waiting[name]
                self._changed.set()

    async def close(self) -> None:
        """End the connections; waiters are left waiting, so there should be none. A repeat does nothing."""
        if self._server is not None:
            self._server.cancel()
            await asyncio.wait([self._server])
        await self._client.aclose()

    async def _serve(self) -> None:
        """Keep a subscription for as long as anybody waits, and a while longer."""
        while self._waiting:
            try:
                async with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await self._keep(pubsub)
            except AWAY:
                await asyncio.sleep(RETRY_EVERY_S)

    async def _keep(self, pubsub: Any) -> None:
        """Subscribe to what is waited for and listen, until the connection is lost or nobody waits any more."""
        subscribed: set[bytes] = set()
        listening: asyncio.Task[None] | None = None
        try:
            while True:
                self._changed.clear()
                await self._follow(pubsub, subscribed)
                _heed_cancellation()
                listening = listening or asyncio.create_task(self._listen(pubsub))
                linger_s = None if self._waiting else LINGER_S
                if not await _either(listening, self._changed, linger_s):
                    return
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.wait([listening])

    async def _follow(self, pubsub: Any, subscribed: set[bytes]) -> None:
        """Bring the subscriptions up to what is waited for, and read what is new."""
        new, old = self._waiting.keys() - subscribed, subscribed - self._waiting.keys()
        if new:
            await pubsub.subscribe(*new)
            subscribed |= new
            # Subscribed before it is read: a value that comes in between is announced.
            values: Any = await self._client.mget(list(new))
            for name, value in zip(new, values, strict=True):
                if value is not None:
                    self._hand_out(name, value)
        if old:
            await pubsub.unsubscribe(*old)
            subscribed -= old

    async def _listen(self, pubsub: Any) -> None:
        while True:
            message = await pubsub.get_message(timeout=1.0)
            _heed_cancellation()
            if message is not None and message["type"] == "message":
                self._hand_out(message["channel"], message["data"])

    def _hand_out(self, name: bytes, value: bytes) -> None:
        for inbox in self._waiting.get(name, ()):
            inbox.put_nowait(value)


def _heed_cancellation() -> None:
    """End the task if it was cancelled: redis-py 8 was seen to swallow a cancellation while it connects.

    Raises:
        CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _either(listening: "asyncio.Task[None]", changed: asyncio.Event, timeout_s: float | None) -> bool:
    """Wait until the subscriptions have to change, and say whether they have; raise what ended the listening."""
    waiting = asyncio.create_task(changed.wait())
    try:
        done, _ = await asyncio.wait({listening, waiting}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if listening in done:
        listening.result()
    return waiting in done
