"""The service that tells of arrivals and moves the oldest letters past the bounds into the archive."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from hive.clock import Clock, SystemClock
from hive.database.archive import ArchivedLetter, ArchiveError, LetterArchive
from hive.settings.parts import DeadSettings
from hive.store.condemned import Arrival, Arrivals
from hive.store.deadletters import BATCH_LETTERS
from hive.store.faults import BrokerFullError, BrokerGoneError
from hive.store.store import Store
from hive.store.values import DeadLetter

logger = logging.getLogger(__name__)

#: Arrivals that are told of at a time, and batches of arrivals or of letters that one look deals with in one queue.
ARRIVALS = 100
BATCHES = 20

#: Seconds from a first arrival to the look for it and what has come since.
GATHER_S = 0.2

#: Bytes of letters that one batch holds in memory, about.
ARCHIVE_BYTES = 8_388_608

#: Letters of the archive that are deleted in one step.
EXPIRE_LETTERS = 1_000


class Archivist:
    """Looks after the dead letters of a worker's queues; every worker runs one, and any number may at once.

    ``start`` and ``stop`` may be repeated; ``stop`` returns once the thread has ended.

    Args:
        store: the broker, asked for at each look.
        queues: which queues, asked at each look.
        archive: where letters past the bounds go.
        settings: the bounds, and how often to look.
        on_arrivals: told queue and letters of arrivals, in the thread of the service; returns the ids of those that need
            not be told of again. The others come again after half a minute, here or in another worker.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        queues: Callable[[], Iterable[str]],
        archive: LetterArchive,
        settings: DeadSettings,
        on_arrivals: Callable[[str, Sequence[Arrival]], Sequence[str]],
    ) -> None:
        self._store = store
        self._queues = queues
        self._archive = archive
        self._settings = settings
        self._on_arrivals = on_arrivals
        self._stopped = threading.Event()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._thread is None or not self._thread.is_alive():
            self._stopped = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopped,), name="hive-dead-letters", daemon=True
            )
            self._thread.start()

    def wake(self) -> None:
        """Look soon: there may be an arrival."""
        self._wanted.set()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            if self._wanted.wait(self._settings.watch_every_s):
                # What comes together is told of together: a look for each would cost the worker more than the letters do.
                stopped.wait(GATHER_S)
            self._wanted.clear()
            if stopped.is_set():
                return
            try:
                self.run_once()
            except (BrokerGoneError, BrokerFullError) as error:
                # The worker's consumer notices by itself; nothing is lost meanwhile, arrivals wait on the broker.
                logger.debug("dead letters are looked at later: %s", error)
            except ArchiveError as error:
                logger.warning("dead letters stay on the broker: %s", error)
            except Exception:  # a result backend may raise anything; what was not told of comes again
                logger.exception("dead letters are looked at again in %g s", self._settings.watch_every_s)

    def run_once(self) -> int:
        """Tell of arrivals and archive what is past the bounds; returns how many letters left the broker.

        Raises:
            BrokerGoneError: no reply; it may be repeated.
            ArchiveError: the archive cannot be written; its letters are still on the broker.
            Exception: what telling of arrivals raised last; all else was done.
        """
        store, archived = self._store(), 0
        failure: Exception | None = None
        for queue in self._queues():
            try:
                seen = self._tell(store, queue)
            except BrokerGoneError:
                raise
            except Exception as error:  # a result backend may raise anything
                failure, seen = error, store.dead_arrivals(queue, 0)
            archived += self._archive_past(store, seen)
        if failure is not None:
            raise failure
        return archived

    def _archive_past(self, store: Store, seen: Arrivals) -> int:
        archived = 0
        for _ in range(BATCHES):
            count = self._archive_batch(store, seen)
            archived += count
            if not count:
                break
            seen = store.dead_arrivals(seen.queue, 0)
        return archived

    def _tell(self, store: Store, queue: str) -> Arrivals:
        for _ in range(BATCHES):
            seen = store.dead_arrivals(queue, ARRIVALS)
            if seen.arrived:
                told = self._on_arrivals(queue, seen.arrived)
                if told:
                    store.dead_told(queue, told)
            if len(seen.arrived) < ARRIVALS:
                break
        return seen

    def _is_past(self, count: int, size_bytes: int, age_s: float | None) -> bool:
        settings = self._settings
        return age_s is not None and (
            count > settings.max_count or size_bytes > settings.max_bytes or age_s > settings.max_age_s
        )

    def _archive_batch(self, store: Store, seen: Arrivals) -> int:
        """Archive the oldest that have been told of; who waits for the others is told by what is on the broker."""
        if not self._is_past(seen.count, seen.bytes, seen.oldest_age_s):
            return 0
        now_ms = store.server_time_ms()
        count, size_bytes, held_bytes = seen.count, seen.bytes, 0
        chosen: list[DeadLetter] = []
        oldest = store.dead_ids(seen.queue, limit=BATCH_LETTERS)
        untold = store.dead_untold(seen.queue, oldest)
        for letter in store.dead_read(seen.queue, [id_ for id_ in oldest if id_ not in untold]):
            if held_bytes > ARCHIVE_BYTES or not self._is_past(count, size_bytes, (now_ms - letter.at_ms) / 1000):
                break
            chosen.append(letter)
            count, size_bytes = count - 1, size_bytes - len(letter.payload)
            held_bytes += len(letter.payload)
        if not chosen:
            return 0
        self._archive.add([_archived(letter) for letter in chosen])
        removed = store.dead_remove(seen.queue, [letter.id for letter in chosen], "archived")
        logger.warning("%d dead letters of queue %r went to %s", removed, seen.queue, self._archive.place)
        return removed


def expire_letters(
    archive: LetterArchive, settings: DeadSettings, stop: Callable[[], bool], clock: Clock | None = None
) -> int:
    """Delete from the archive what was set aside longer ago than it is kept; returns how many letters went.

    Args:
        archive: where they lie.
        settings: how long.
        stop: asked between steps of some letters; a repeat does the rest.
        clock: of the instant it is now.

    Raises:
        ArchiveError: it cannot be written; some may have been deleted.
    """
    before_ms = (clock or SystemClock()).wall_ms() - round(settings.archive_keep_s * 1000)
    deleted, last = 0, EXPIRE_LETTERS
    while last == EXPIRE_LETTERS and not stop():
        last = archive.expire(before_ms, EXPIRE_LETTERS)
        deleted += last
    return deleted


def _archived(letter: DeadLetter) -> ArchivedLetter:
    return ArchivedLetter(
        queue=letter.queue,
        id=letter.id,
        at_ms=letter.at_ms,
        priority=letter.priority,
        record=letter.record,
        payload=letter.payload,
    )
