"""What wakes a supervisor: signals and the pipes of its parts, waited for in its only thread."""

import os
import selectors
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

#: Signals that ask for the end.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Inbox:
    """Signals and pipes; a context that restores the process's handlers.

    Args:
        on_stop: called in the signal handler for each signal that asks for the end.
    """

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self._on_stop = on_stop
        self._selector = selectors.DefaultSelector()
        self._wakeup = os.pipe()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for fd in self._wakeup:
            os.set_blocking(fd, False)
        self._selector.register(self._wakeup[0], selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, signal.SIGCHLD):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def leave(self) -> None:
        """Let go of everything in a forked process, whose signals then have their default effect."""
        signal.set_wakeup_fd(-1)
        for number in self._before:
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        for fd in self._wakeup:
            os.close(fd)

    def listen(self, fd: int, on_readable: Callable[[], None]) -> None:
        """Call ``on_readable`` from :meth:`wait` whenever ``fd`` can be read."""
        self._selector.register(fd, selectors.EVENT_READ, on_readable)

    def ignore(self, fd: int) -> None:
        """Listen to ``fd`` no longer."""
        self._selector.unregister(fd)

    def wait(self, timeout_s: float) -> None:
        """Wait for a signal or a pipe, at most ``timeout_s`` seconds, and call who listens."""
        for key, _ in self._selector.select(timeout_s):
            if key.fd == self._wakeup[0]:
                os.read(key.fd, 4096)
            else:
                key.data()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self._on_stop()
