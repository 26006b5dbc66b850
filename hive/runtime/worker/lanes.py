"""The worker's part for lanes: it keeps its own open, tells of its load, and looks after those of others."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from celery import bootsteps
from celery.worker import state

from hive.routing.keys import RecentKeys
from hive.routing.report import LoadReport, worker_of
from hive.routing.stealing import longest_lane
from hive.runtime.defaults import CONSOLIDATION_QUEUES
from hive.runtime.worker.load_meter import LoadMeter, slots_of
from hive.settings.parts import RoutingSettings
from hive.store.faults import BrokerFullError, BrokerGoneError
from hive.store.lane import AFFINITY, LaneRecord, LongLane, ServedLanes
from hive.store.pipelining import Pipeline
from hive.store.store import Store
from hive.transport.channel import Channel
from hive.transport.consumer import Consumer as Holder

logger = logging.getLogger(__name__)

#: Reports that a worker leaves out while it has nothing to do and no lanes are there but its own: nobody has a choice.
#: Another's lane is seen long before that one's lease can have ended.
REST_REPORTS = 5


class LaneKeeper:
    """Reports the load of a worker on its queues, drains lanes of the dead, and chooses from which lane to steal.

    ``start`` and ``stop`` may be repeated; ``stop`` returns once the thread has ended and the own lanes are empty.

    Args:
        store: the broker, asked for at each turn.
        holder: the consumer whose lease the lanes live by.
        served: what claims know of lanes.
        settings: how often.
        measure: takes the load.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        holder: Holder,
        served: ServedLanes,
        settings: RoutingSettings,
        measure: Callable[[], LoadReport],
    ) -> None:
        self._store, self.holder, self._served = store, holder, served
        self._settings, self._measure = settings, measure
        self._worker = served.worker
        self._piped: tuple[Store | None, Any] = (None, None)
        self._is_alone = False
        self._pause_s = settings.report_every_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._thread is None or not self._thread.is_alive():
            self._stopped = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stopped,), name="hive-lanes", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread, and move what waits in the own lanes to the shared queues. A repeat finds nothing."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._served.worker, self._served.long = "", {}
        try:
            for queue in self.holder.queues:
                while self._store().drain_lane(queue, self._worker, anyway=True):
                    continue
        except BrokerGoneError as error:
            logger.warning("the lane of %s is left to the others: %s", self._worker, error)

    def _run(self, stopped: threading.Event) -> None:
        failing = False
        while True:
            try:
                self.run_once()
                failing = False
            except (BrokerGoneError, BrokerFullError) as error:
                if not failing:
                    logger.warning("the load of %s cannot be reported: %s", self._worker, error)
                failing = True
            except Exception:
                # Without this thread nobody would be sent here, and lanes of the dead might be left.
                if not failing:
                    logger.exception("the load of %s cannot be reported", self._worker)
                failing = True
            if stopped.wait(self._settings.report_every_s if failing else self._pause_s):
                return

    def run_once(self) -> None:
        """Report once on each queue, and look after the lanes there. A repeat reports again.

        Raises:
            BrokerGoneError: the broker does not answer.
        """
        report, store, long = self._measure(), self._store(), dict[str, LongLane]()
        queues = [queue for queue in self.holder.queues if queue not in CONSOLIDATION_QUEUES]
        woken, every_s = list[str](), self._settings.report_every_s
        if self._is_alone and not report.busy and not report.held:
            report = replace(report, rests_s=every_s * REST_REPORTS)
        self._is_alone = True
        for queue, lanes in zip(queues, self._reported(store, queues, report.written()), strict=True):
            self._is_alone &= all(lane.worker == self._worker for lane in lanes)
            self._drain_dead(store, queue, lanes)
            found = longest(self._worker, lanes, self._settings.keep_per_slot)
            if found is not None:
                long[queue] = found
            steals = found is not None and report.busy + report.held < report.slots
            if steals or any(lane.worker == self._worker and lane.waiting for lane in lanes):
                woken.append(queue)
        self._pause_s = report.rests_s if report.rests_s and self._is_alone else every_s
        # Before it is woken: the claim that follows is to steal.
        self._served.long = long
        for queue in woken:
            store.wake_lane(queue, self._worker)

    def _reported(self, store: Store, queues: Sequence[str], load: bytes) -> list[tuple[LaneRecord, ...]]:
        """Report on all queues and return their lanes, in one round trip."""
        if self._piped[0] is not store:
            self._piped = (store, Pipeline(store))
        worker, consumer = self._worker, self.holder.id
        reports = [lambda to, queue=queue: to.report_load(queue, worker, consumer, load) for queue in queues]
        looks = [lambda to, queue=queue: to.lanes(queue) for queue in queues]
        return self._piped[1].run([*reports, *looks])[len(queues) :]

    def _drain_dead(self, store: Store, queue: str, lanes: Sequence[LaneRecord]) -> None:
        for lane in lanes:
            moved = 0 if lane.is_alive else store.drain_lane(queue, lane.worker)
            if moved:
                logger.warning("%s is gone: %d messages of its lane are for all of %s now", lane.worker, moved, queue)


def longest(worker: str, lanes: Sequence[LaneRecord], keep_per_slot: float) -> LongLane | None:
    """Return the lane of another that is furthest above what it keeps to itself, or None: none is.

    Args:
        worker: who asks.
        lanes: of a queue.
        keep_per_slot: messages a lane keeps for each slot of its worker in a full pool.
    """
    long = {lane.worker: lane.waiting for lane in lanes if lane.waiting > 1 and lane.worker != worker}
    if not long:
        return None
    described = [one for lane in lanes if (one := worker_of(lane.worker, lane.waiting, lane.load)) is not None]
    found = longest_lane(long, described, keep_per_slot)
    return None if found is None else LongLane(worker=found[0], bound=found[1])


class Lanes(bootsteps.StartStopStep):
    """Runs the keeper of a worker's lanes from its first connection until the worker begins to stop."""

    requires = ("hive.runtime.worker.consuming:Delivery",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._keeper: LaneKeeper | None = None
        self._keys = RecentKeys()
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Open the lanes; at a later connection they are open already, unless another broker was reached."""
        channel = consumer.task_consumer.channel
        app = consumer.app
        if not isinstance(channel, Channel) or not app.settings.routing.lanes:
            return
        # Connected here, where a broker that is away makes the worker try again; the thread only uses it.
        if not isinstance(app.access.channel, Channel):
            return
        holder, process = channel.consumer, channel.connection.process
        if self._keeper is not None and self._keeper.holder is not holder:
            self._keeper.stop()
            self._keeper = None
        process.lanes.worker = consumer.hostname
        process.lanes.has_room = lambda: len(state.reserved_requests) < slots_of(consumer)
        if self._keeper is None:
            meter = LoadMeter(lambda: slots_of(consumer), lambda: process.failed_count, self._keys, process.clock)
            self._keeper = LaneKeeper(
                lambda: app.access.store, holder, process.lanes, app.settings.routing, meter.measure
            )
        self._keeper.start()
        # A set, and the same method: a further connection adds nothing.
        consumer.on_task_message.add(self._note_key)

    def _note_key(self, request: Any) -> None:
        key = request.message.headers.get(AFFINITY)
        if key is not None:
            self._keys.note(key)

    def stop(self, consumer: Any) -> None:
        """Do nothing: lanes outlive a lost connection, as the lease does."""

    def close(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Close the lanes: the worker begins to stop, and what waits there must not wait for that."""
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None

    def terminate(self, consumer: Any) -> None:
        """Close the lanes. A repeat does nothing."""
        self.close(consumer)

    def shutdown(self, consumer: Any) -> None:
        """Close the lanes. A repeat does nothing."""
        self.close(consumer)
