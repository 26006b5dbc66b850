"""Steps that no signal may cut in two, such as starting a process and noting that it is ours."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Signals whose handlers end what runs with an exception.
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block has ended; those that came meanwhile are then handled in turn.

    Python runs handlers in the main thread only: in any other one there is nothing to hold back. A signal that is
    ignored or ends the process stays as it is. A process that the block starts has the usual handling.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    late: list[int] = []
    handled = {number: handler for number in INTERRUPTS if callable(handler := signal.getsignal(number))}
    for number in handled:
        signal.signal(number, lambda came, _: late.append(came))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        for arrived in late:
            signal.raise_signal(arrived)
