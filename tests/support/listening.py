"""Hearing the events of workers, from before anything that a test does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.eventually import eventually

#: An event that says nothing but that it was heard.
PROBE = "test-probe"


@contextmanager
def listening(app: Any, *kinds: str) -> Iterator[list[dict[str, Any]]]:
    """Gather the events of some kinds; from the first line of the block on, none is missed.

    Args:
        app: whose broker.
        kinds: their types; all if none is given.

    Yields:
        The events, in the order in which they come; the list grows meanwhile.
    """
    seen: list[dict[str, Any]] = []
    heard = threading.Event()
    receivers: list[Any] = []

    def note(event: dict[str, Any]) -> None:
        if event["type"] != PROBE:
            seen.append(event)

    def listen() -> None:
        handlers = {PROBE: lambda _: heard.set(), **dict.fromkeys(kinds or ("*",), note)}
        with app.connection_for_read() as connection:
            receivers.append(app.events.Receiver(connection, handlers=handlers))
            receivers[0].capture(limit=None, timeout=None, wakeup=False)

    def hears() -> bool:
        # What is sent before the subscription stands is nobody's.
        with app.events.default_dispatcher() as dispatcher:
            dispatcher.send(PROBE)
        return heard.wait(0.05)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        eventually(hears, what="the listener hears")
        yield seen
    finally:
        for receiver in receivers:
            receiver.should_stop = True
        listener.join(60)
