"""What the command ``hive`` starts with, outside the package ``hive``, whose import takes most of a second.

A Ctrl-C within that second must not show where Python was in its imports.
"""

import os
import signal
from types import FrameType

#: What a command exits with that Ctrl-C has ended, as a shell reports it.
INTERRUPTED = 130


def main() -> None:
    """Import the command line and run it; Ctrl-C before it runs is a sentence and an exit code."""
    before = signal.getsignal(signal.SIGINT)
    # A shell lets what it starts in the background ignore the signal.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    from hive.cli.main import main as run  # noqa: PLC0415 - the import that is waited for

    signal.signal(signal.SIGINT, before)
    run()


def _stop(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing has begun, and what is half imported cannot be trusted to pass an exception on."""
    os.write(2, b"hive: stopped by Ctrl-C before it was done\n")
    os._exit(INTERRUPTED)
