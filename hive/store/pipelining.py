"""Several operations of the store in one round trip."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import redis

from hive.store.faults import translated
from hive.store.scripts import load, spelled
from hive.store.store import Store


class _Wanted(Exception):  # noqa: N818 - not an error: it ends the first pass over an operation
    """Says which script an operation calls, and with what."""

    def __init__(self, name: str, keys: Sequence[str], arguments: tuple[Any, ...]) -> None:
        self.name, self.keys, self.arguments = name, keys, arguments


class _Asking(Store):
    """A store that goes as far as the call."""

    def call(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        raise _Wanted(name, keys, arguments)


class _Answering(Store):
    """A store whose next call has been answered."""

    reply: Any = None

    def call(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:  # noqa: ARG002 - the reply is there
        return self.reply


class Pipeline:
    """Runs operations that call one script each, all in one round trip.

    Every operation is gone through twice: up to its call, to learn script, keys and arguments, and with the reply in
    hand, to decode it. So it must do nothing but call the store.

    Args:
        store: whose client, names and settings are used.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._client = store, store.client
        parts = {"layout": store.layout, "settings": store.settings}
        self._asking = _Asking(store.client, **parts)  # type: ignore[arg-type]
        self._answering = _Answering(store.client, **parts)  # type: ignore[arg-type]
        for twin in (self._asking, self._answering):
            twin._now_ms, twin._run_id = store._now_ms, store._run_id
            twin.queue_keys = store.queue_keys
            twin.served_lanes = store.served_lanes

    def run(self, operations: Sequence[Callable[[Store], Any]]) -> list[Any]:
        """Return the results of all operations; those that need no call are just called.

        The server carries them out in order, but not as one: another client's may come between.

        Raises:
            BrokerGoneError: no reply; some or all may have been carried out, and may be repeated.
            BrokerFullError: the server is at its memory limit and one of them would add to it.
        """
        results: list[Any] = [None] * len(operations)
        wanted: dict[int, _Wanted] = {}
        for place, operation in enumerate(operations):
            try:
                results[place] = operation(self._asking)
            except _Wanted as want:
                wanted[place] = want
        for place, reply in self._send(wanted).items():
            self._answering.reply = reply
            results[place] = operations[place](self._answering)
        return results

    def _send(self, wanted: dict[int, _Wanted]) -> dict[int, Any]:
        if not wanted:
            return {}
        names = "+".join(want.name for want in wanted.values())
        self._tell(wanted, "before")
        with translated(names):
            replies = dict(zip(wanted, self._exchange(tuple(wanted.values())), strict=True))
            for place, reply in replies.items():
                if isinstance(reply, redis.exceptions.NoScriptError):
                    replies[place] = self._load_and_call(wanted[place])
                elif isinstance(reply, Exception):
                    raise reply
        self._tell(wanted, "after")
        return replies

    def _exchange(self, wanted: Sequence[_Wanted]) -> list[Any]:
        """Send all calls and read all replies; redis-py's own pipeline takes twice the time for the same bytes."""
        pool = self._client.connection_pool
        connection = pool.get_connection()
        try:
            commands = [
                ("EVALSHA", load(want.name).digest, *spelled((len(want.keys), *want.keys, *want.arguments)))
                for want in wanted
            ]
            connection.send_packed_command(connection.pack_commands(commands))
            return [_reply(connection) for _ in wanted]
        except BaseException:
            # A reply that comes late must not be taken for another command's.
            connection.disconnect()
            raise
        finally:
            pool.release(connection)

    def _tell(self, wanted: dict[int, _Wanted], when: str) -> None:
        at = self._store.at
        for want in wanted.values() if at is not None else ():
            cast("Callable[[str, str], None]", at)(want.name, when)

    def _load_and_call(self, want: _Wanted) -> Any:
        text = load(want.name).text
        return cast(
            "Any", self._client.execute_command("EVAL", text, *spelled((len(want.keys), *want.keys, *want.arguments)))
        )


def _reply(connection: Any) -> Any:
    """Return the next reply; an error is one too, for others follow it."""
    try:
        return connection.read_response()
    except redis.exceptions.ResponseError as error:
        return error
