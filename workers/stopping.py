"""How a command is stopped: Ctrl-C or SIGTERM once ends it in order, and once more changes nothing about that.

What follows the first signal takes some three seconds, and is what the user wants: the report of what was done. So a
second signal is answered with a sentence; a third ends the command where it stands.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

#: What a command exits with when it was stopped, as a shell reports SIGINT.
STOPPED = 130

#: Signals that stop: Ctrl-C, and what a supervisor or `kill` sends.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """What has been asked for so far; a signal handler.

    Attributes:
        asked: signals that have arrived.
    """

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Interrupt what runs at the first and third signal; say so at the second."""
        self.asked += 1
        if self.asked == 2:
            # Past Python's streams: the signal may have come in the middle of a write to them.
            os.write(2, b"hive: already stopping; what was done until now is kept (once more: end at once)\n")
            return
        raise KeyboardInterrupt


@contextmanager
def stoppable(sentence: str) -> Iterator[None]:
    """Let SIGINT and SIGTERM stop what is inside; an interrupt that nothing inside takes ends the command.

    Args:
        sentence: what to say then.
    """
    stop = Stop()
    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        _end(sentence if stop.asked < 3 else "ended at once; nothing more was written")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(sentence: str) -> NoReturn:
    click.echo(f"hive: {sentence}", err=True)
    raise click.exceptions.Exit(STOPPED)
