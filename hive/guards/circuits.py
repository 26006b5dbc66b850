"""The breakers of a process, and the thread that reports for them."""

import logging
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from hive.clock import Clock, SystemClock
from hive.guards.circuit import BreakerStatus, Circuit
from hive.settings.parts import BreakerSettings
from hive.store.store import Store

logger = logging.getLogger(__name__)

#: Seconds between two reports of calls; failures that pile up are reported at once.
REPORT_EVERY_S = 0.25

#: Seconds after which a closed breaker that nobody calls is asked after.
IDLE_S = 1.0


class Circuits:
    """Hands out the breaker of a dependency, one for each name and process.

    ``start`` and ``stop`` may be repeated; ``stop`` returns once the thread has ended and everything is reported. The thread
    starts with the first breaker. A forked child begins anew.

    Args:
        store: returns the broker's store, in any thread.
        rules: returns the rules of a dependency that nobody declared.
        clock: for the time between views.
    """

    def __init__(
        self, store: Callable[[], Store], rules: Callable[[str], BreakerSettings], clock: Clock | None = None
    ) -> None:
        #: What the running context has entered, innermost first: permit, circuit, what is around it.
        self.entered: ContextVar[Any] = ContextVar("entered", default=None)
        #: Told of each turn that this process learns of, by whatever thread learns of it.
        self.on_turn: Callable[[str, BreakerStatus], None] = _nobody
        #: Called before each round of reports, by the thread.
        self.before_round: Callable[[], None] = _nothing
        #: Rounds of the thread that ended in an error nobody expects.
        self.failed_count = 0
        self._store = store
        self._rules = rules
        self._declared: dict[str, BreakerSettings] = {}
        self._clock = clock or SystemClock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._circuits: dict[str, Circuit] = {}
        self._mutex = threading.Lock()
        self._due = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def declare(self, name: str, rules: BreakerSettings) -> None:
        """Give a dependency rules of its own; those that come first in a process stay."""
        self._declared.setdefault(name, rules)

    def circuit(self, name: str) -> Circuit:
        """Return the breaker of a dependency."""
        if self._pid != os.getpid():
            # The parent's thread is not here, and may have held a lock when it forked.
            self._begin()
        circuit = self._circuits.get(name)
        return circuit if circuit is not None else self._make(name)

    def _make(self, name: str) -> Circuit:
        with self._mutex:
            if name not in self._circuits:
                rules = self._declared.get(name) or self._rules(name)
                self._circuits[name] = Circuit(name, rules, self._store, self._clock, self._due.set, self._turned)
        self.start()
        return self._circuits[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The dependencies that this process has asked after."""
        return tuple(self._circuits) if self._pid == os.getpid() else ()

    @property
    def local_count(self) -> int:
        """How many of them this process decides alone, because the broker is away."""
        return sum(self._circuits[name].is_local for name in self.names)

    def start(self) -> None:
        """Start the thread unless it runs."""
        with self._mutex:
            if self._thread is None or not self._thread.is_alive():
                self._stopped = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stopped,), name="hive-breakers", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Report what was counted and end the thread."""
        self._stopped.set()
        self._due.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self.run_once()

    def run_once(self) -> None:
        """Report for every breaker for which that is due."""
        for circuit in tuple(self._circuits.values()):
            if circuit.is_due(IDLE_S):
                circuit.report()

    def _turned(self, name: str, status: BreakerStatus) -> None:
        self.on_turn(name, status)

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            self._due.wait(REPORT_EVERY_S)
            self._due.clear()
            try:
                self.before_round()
                self.run_once()
            except Exception:
                # Without this thread every breaker of the process would stay as it is for ever.
                self.failed_count += 1
                logger.exception("breakers could not be reported (%d times so far)", self.failed_count)


def _nothing() -> None:
    """Outside of a worker there is nothing to do before."""


def _nobody(name: str, status: BreakerStatus) -> None:
    """Outside of a worker nobody listens; the log says it."""
