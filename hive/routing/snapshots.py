"""What a caller knows of the workers: snapshots of their load, read in the background."""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence

from hive.agents.types import AgentType
from hive.clock import Clock
from hive.routing.candidates import Pool
from hive.routing.report import is_fresh, worker_of
from hive.settings.parts import RoutingSettings
from hive.store.faults import BrokerGoneError
from hive.store.lane import LaneRecord
from hive.store.store import Store

logger = logging.getLogger(__name__)

#: Seconds after which nobody who asked for a pool is taken to want it still.
WANTED_S = 60.0

_NEVER: tuple[float, None] = (float("-inf"), None)


class Snapshots:
    """The pools of a process, as they were a moment ago; never asks the broker in the thread of a caller.

    The first who asks for a pool gets an empty one, and a thread begins to look. It ends when nobody has asked for a minute.

    Args:
        types: agent types by name.
        store: returns the broker, for the thread.
        settings: how often to look, and how long a report counts.
        clock: for both.
    """

    def __init__(
        self, types: Mapping[str, AgentType], store: Callable[[], Store], settings: RoutingSettings, clock: Clock
    ) -> None:
        self._types, self._store, self._settings, self._clock = types, store, settings, clock
        self._pools: dict[str, tuple[float, Pool | None]] = {}
        self._empty = {name: Pool(agent_type) for name, agent_type in types.items()}
        self._wanted_s: dict[str, float] = {}
        self._mutex = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def pools(self, names: Sequence[str]) -> list[Pool]:
        """Return the pools of agent types; one without workers if none of them has reported lately.

        Raises:
            KeyError: there is no such type.
        """
        now_s = self._clock.monotonic_s()
        oldest_s = now_s - self._settings.fresh_s
        if self._pid != os.getpid() or self._thread is None:
            self.start()
        found, known = [], self._pools
        for name in names:
            self._wanted_s[name] = now_s
            known_s, pool = known.get(name, _NEVER)
            found.append(self._empty[name] if known_s < oldest_s or pool is None else pool)
        return found

    def start(self) -> None:
        """Start the thread unless it runs in this process."""
        if self._pid != os.getpid():
            # A child has not its parent's thread, which may have held the lock when it was forked.
            self._mutex, self._thread, self._stopped = threading.Lock(), None, threading.Event()
            self._pid = os.getpid()
        with self._mutex:
            if self._thread is None:
                self._stopped.clear()
                self._thread = threading.Thread(target=self._run, name="hive-snapshots", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; the next call that routes starts it again."""
        if self._pid != os.getpid():
            return
        with self._mutex:
            thread, self._thread = self._thread, None
            self._stopped.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        failing, stopped = False, self._stopped
        while True:
            try:
                self.run_once()
                failing = False
            except BrokerGoneError as error:
                if not failing:
                    logger.warning("calls go to shared queues, because the load of workers is unknown: %s", error)
                failing = True
            if stopped.wait(self._settings.report_every_s):
                return
            with self._mutex:
                if not self._wanted_s and self._stopped is stopped:
                    self._thread = None
                    return

    def run_once(self) -> None:
        """Read the pools that callers want. A repeat reads them again.

        Raises:
            BrokerGoneError: the broker does not answer; what is known grows old.
        """
        now_s = self._clock.monotonic_s()
        for name, asked_s in tuple(self._wanted_s.items()):
            if now_s - asked_s > WANTED_S:
                self._wanted_s.pop(name, None)
                self._pools.pop(name, None)
            else:
                self.read(name)

    def read(self, name: str) -> Pool:
        """Read a pool from the broker, keep it for callers, and return it.

        Raises:
            BrokerGoneError: the broker does not answer.
        """
        began_s, agent_type = self._clock.monotonic_s(), self._types[name]
        lanes = self._store().lanes(agent_type.queue)
        workers = (worker_of(lane.worker, lane.waiting, lane.load) for lane in lanes if self._is_fresh(lane))
        # In one order for all callers.
        present = sorted((one for one in workers if one is not None), key=lambda worker: worker.name)
        pool = Pool(agent_type, present, began_s, before=self._pools.get(name, _NEVER)[1])
        self._pools[name] = (began_s, pool)
        return pool

    def _is_fresh(self, lane: LaneRecord) -> bool:
        return lane.is_alive and is_fresh(lane.load, lane.age_s, self._settings.fresh_s)
