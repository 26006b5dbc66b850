"""The thread that renews what a process holds by leases."""

import threading
from collections.abc import Callable


class Renewals:
    """Calls a function again and again in a thread of its own, from ``start`` to ``stop``.

    A process that was forked must make its own.

    Args:
        renew: renews everything once; raises nothing.
        every_s: seconds between two calls.
        name: of the thread.
    """

    def __init__(self, renew: Callable[[], None], every_s: float, name: str) -> None:
        self._renew, self._every_s, self._name = renew, every_s, name
        self._mutex = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to renew. A repeat does nothing."""
        with self._mutex:
            if self._thread is None or not self._thread.is_alive():
                self._stopped = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(self._stopped,), name=self._name, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; what is held ends with its leases. A repeat does nothing."""
        thread = self._thread
        self._stopped.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._every_s):
            self._renew()
