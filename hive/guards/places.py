"""Keeping the places that a process holds of concurrency limits."""

import logging
import os
import threading
from collections.abc import Callable, Sequence

from hive.store.faults import BrokerGoneError
from hive.store.limiting import PLACE_RENEW_S, Limiting
from hive.store.renewals import Renewals

logger = logging.getLogger(__name__)


class Places:
    """Renews the leases of places until they are given back; a process that dies renews none, and they are free again.

    Its thread runs while places are held. A process that was forked holds none of its parent's.

    Args:
        store: returns the broker, in whichever thread asks.
    """

    def __init__(self, store: Callable[[], Limiting]) -> None:
        self._store = store
        self._held: set[tuple[str, str]] = set()
        self._mutex = threading.Lock()
        self._renewals = Renewals(self.run_once, PLACE_RENEW_S, "hive-limits")
        self._pid = os.getpid()

    def hold(self, who: str, names: Sequence[str]) -> None:
        """Renew places from now on. Safe to repeat."""
        with self._mutex:
            if self._pid != os.getpid():
                self._held, self._pid = set(), os.getpid()
                self._renewals = Renewals(self.run_once, PLACE_RENEW_S, "hive-limits")
            self._held.update((who, name) for name in names)
        self._renewals.start()

    def give_back(self, who: str, names: Sequence[str], held_ms: int) -> None:
        """Give places back on the broker; while it is away they end with their leases. A repeat does nothing."""
        with self._mutex:
            mine = [name for name in names if (who, name) in self._held]
            self._held.difference_update((who, name) for name in mine)
            if mine:
                try:
                    self._store().release_places(who, mine, held_ms)
                except BrokerGoneError as error:
                    logger.warning("places of %s end with their leases: %s", ", ".join(mine), error)

    def run_once(self) -> None:
        """Renew all places once; while the broker is away nothing happens, and the next time tries again."""
        with self._mutex:
            held = sorted(self._held)
            try:
                ended_count = self._store().renew_places(held) if held else 0
            except BrokerGoneError as error:
                logger.warning("%d places could not be renewed: %s", len(held), error)
                return
        if ended_count:
            logger.warning("the leases of %d places had ended: others may have had them meanwhile", ended_count)

    def stop(self) -> None:
        """Renew no more; what is held ends with its leases. A repeat does nothing."""
        self._renewals.stop()
