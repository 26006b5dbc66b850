"""A thread of the operating system, also where gevent has made greenlets of Python's threads.

A greenlet keeps no lease: it waits until every other greenlet yields, and a task that computes does not. So where gevent
has patched :mod:`threading`, the thread comes from gevent's pool of real ones. Locks and events of the patched kind work
between threads, sockets do not: each thread keeps to connections of its own.
"""

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def is_patched() -> bool:
    """Whether gevent has made greenlets of this process's threads."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


class NativeThread:
    """A daemon thread that starts at once.

    Args:
        target: what it runs.
        name: of the thread.
    """

    def __init__(self, target: Callable[[], object], name: str) -> None:
        self._pooled: Any = None
        self._thread: threading.Thread | None = None
        if is_patched():
            from gevent.threadpool import ThreadPool  # noqa: PLC0415 - optional

            self._pooled = ThreadPool(1).spawn(target)
        else:
            self._thread = threading.Thread(target=target, name=name, daemon=True)
            self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return not self._pooled.ready() if self._thread is None else self._thread.is_alive()

    def join(self) -> None:
        """Wait for its end."""
        if self._thread is None:
            self._pooled.wait()
        else:
            self._thread.join()


def in_this_thread(function: Callable[[T], None]) -> Callable[[T], None]:
    """Return what calls ``function`` soon, in a greenlet of the thread that asked, from any thread.

    Without gevent it is called at once, in the thread that calls.
    """
    if not is_patched():
        return function
    import gevent  # noqa: PLC0415 - optional

    hub = gevent.get_hub()

    def call(value: T) -> None:
        hub.loop.run_callback_threadsafe(gevent.spawn, function, value)

    return call
