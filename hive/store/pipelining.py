"""Several operations of the store in one round trip."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import redis

from hive.store.faults import translated
from hive.store.scripts import load, spelled
from hive.store.store import Store


def _nobody() -> None:
    """Nobody wants to know."""


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


class Call:
    """One operation that somebody else sends, and whose reply they read.

    Attributes:
        command: what is to be sent.
    """

    def __init__(self, pipeline: "Pipeline", operation: Callable[[Store], Any], want: _Wanted) -> None:
        self.command = _command(want)
        self._pipeline, self._operation, self._want = pipeline, operation, want
        pipeline.tell([want], "before")

    def read(self, connection: Any) -> Any:
        """Read the reply and return it; None if the server refused the call, which then changed nothing."""
        reply = _reply(connection)
        return None if isinstance(reply, redis.exceptions.ResponseError) else reply

    def result(self, reply: Any) -> Any:
        """Return the operation's result."""
        self._pipeline.tell([self._want], "after")
        return self._pipeline.decoded(self._operation, reply)


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

    def prepare(self, operation: Callable[[Store], Any]) -> Call:
        """Return an operation that calls one script, as far as its call; it is not sent."""
        try:
            operation(self._asking)
        except _Wanted as want:
            return Call(self, operation, want)
        raise ValueError("the operation calls no script")

    def decoded(self, operation: Callable[[Store], Any], reply: Any) -> Any:
        """Return the result of an operation whose call was answered."""
        self._answering.reply = reply
        return operation(self._answering)

    def run(self, operations: Sequence[Callable[[Store], Any]], on_sent: Callable[[], None] = _nobody) -> list[Any]:
        """Return the results of all operations; those that need no call are just called.

        The server carries them out in order, but not as one: another client's may come between.

        Args:
            operations: in the order in which they are carried out.
            on_sent: called while all of them are on their way.

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
        for place, reply in self._send(wanted, on_sent).items():
            results[place] = self.decoded(operations[place], reply)
        return results

    def _send(self, wanted: dict[int, _Wanted], on_sent: Callable[[], None]) -> dict[int, Any]:
        if not wanted:
            return {}
        names = "+".join(want.name for want in wanted.values())
        self.tell(wanted.values(), "before")
        with translated(names):
            replies = dict(zip(wanted, self._exchange(tuple(wanted.values()), on_sent), strict=True))
            for place, reply in replies.items():
                if isinstance(reply, redis.exceptions.NoScriptError):
                    replies[place] = self._load_and_call(wanted[place])
                elif isinstance(reply, Exception):
                    raise reply
        self.tell(wanted.values(), "after")
        return replies

    def _exchange(self, wanted: Sequence[_Wanted], on_sent: Callable[[], None]) -> list[Any]:
        """Send all calls and read all replies; redis-py's own pipeline takes twice the time for the same bytes."""
        pool = self._client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands(map(_command, wanted)))
            on_sent()
            return [_reply(connection) for _ in wanted]
        except BaseException:
            # A reply that comes late must not be taken for another command's.
            connection.disconnect()
            raise
        finally:
            pool.release(connection)

    def tell(self, wanted: Iterable[_Wanted], when: str) -> None:
        """Tell who listens that scripts are about to be called, or were."""
        at = self._store.at
        for want in wanted if at is not None else ():
            cast("Callable[[str, str], None]", at)(want.name, when)

    def _load_and_call(self, want: _Wanted) -> Any:
        text = load(want.name).text
        return cast(
            "Any", self._client.execute_command("EVAL", text, *spelled((len(want.keys), *want.keys, *want.arguments)))
        )


def _command(want: _Wanted) -> tuple[Any, ...]:
    return ("EVALSHA", load(want.name).digest, *spelled((len(want.keys), *want.keys, *want.arguments)))


def _reply(connection: Any) -> Any:
    """Return the next reply; an error is one too, for others follow it."""
    try:
        return connection.read_response()
    except redis.exceptions.ResponseError as error:
        return error
