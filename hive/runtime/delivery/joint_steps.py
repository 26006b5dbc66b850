"""Steps that many threads present at the same time, in one round trip.

Whoever comes while nothing is under way goes at once; whoever comes meanwhile goes with the next trip, which the first of
them makes for all. Nobody waits for company, and nobody returns before its own step has been carried out.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from hive.errors import BrokerError
from hive.store.pipelining import Pipeline
from hive.store.store import Store

logger = logging.getLogger(__name__)

#: Steps of one trip at most: one script each, so that the broker is never held up for long.
TRIP_STEPS = 100


class _Entry:
    """A step of one thread, which waits on ``woken`` for the end of a trip, or for its turn to make one.

    Attributes:
        is_done: whether ``outcome`` is there.
        leads: whether the next trip is its own to make.
    """

    __slots__ = ("is_done", "leads", "outcome", "step", "store", "woken")

    def __init__(self, store: Store, step: Callable[[Store], Any]) -> None:
        self.store, self.step = store, step
        self.is_done = self.leads = False
        self.outcome: Any = None
        self.woken = threading.Lock()
        self.woken.acquire()


class JointSteps:
    """Carries out steps of threads; each may be repeated, and calls one script at most."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: list[_Entry] = []
        self._is_under_way = False
        self._pipeline: tuple[Store, Pipeline] | None = None

    def run(self, store: Store, step: Callable[[Store], Any]) -> Any:
        """Carry out a step on a store, perhaps together with those of other threads; return what it returns.

        Raises:
            BrokerError: as the step itself; it may have been carried out.
        """
        entry = self._join(store, step)
        if entry is None:
            try:
                return step(store)
            finally:
                self._pass_on()
        entry.woken.acquire()
        if entry.leads:
            self._lead(entry)
        # Alone after a trip that failed: whoever is to blame learns of it, and nobody else.
        return entry.outcome if entry.is_done else step(store)

    def _join(self, store: Store, step: Callable[[Store], Any]) -> _Entry | None:
        """Wait for the next trip if one is under way; None: there is none, and the step may go."""
        with self._mutex:
            if not self._is_under_way:
                self._is_under_way = True
                return None
            entry = _Entry(store, step)
            self._waiting.append(entry)
            return entry

    def _lead(self, first: _Entry) -> None:
        """Make one trip for all who wait for the same broker; after one that fails their steps are not done."""
        with self._mutex:
            company = [one for one in self._waiting if one.store is first.store][: TRIP_STEPS - 1]
            self._waiting = [one for one in self._waiting if one not in company]
        entries = [first, *company]
        try:
            for entry, outcome in zip(entries, self._trip(entries), strict=True):
                entry.outcome, entry.is_done = outcome, True
        except BrokerError as error:
            logger.info("%d steps are repeated one by one: %s", len(entries), error)
        finally:
            for one in company:
                one.woken.release()
            self._pass_on()

    def _trip(self, entries: list[_Entry]) -> list[Any]:
        store = entries[0].store
        if self._pipeline is None or self._pipeline[0] is not store:
            self._pipeline = store, Pipeline(store)
        return self._pipeline[1].run([entry.step for entry in entries])

    def _pass_on(self) -> None:
        """Let the first who waits make the next trip."""
        with self._mutex:
            following = self._waiting.pop(0) if self._waiting else None
            self._is_under_way = following is not None
        if following is not None:
            following.leads = True
            following.woken.release()
