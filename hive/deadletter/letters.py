"""The dead letters of an application's queues, for operators and programs."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hive.clock import Clock, SystemClock
from hive.deadletter.history import afresh
from hive.deadletter.letter import Letter, edited
from hive.deadletter.selection import Selection
from hive.errors import InputError
from hive.store.deadletters import BATCH_LETTERS
from hive.store.store import Store

#: With a rate, letters move in batches of this part of a second.
RATED_BATCH_S = 0.1

#: Queues that an error sentence names; of more it says how many.
NAMED_QUEUES = 3


@dataclass(slots=True, kw_only=True)
class Kind:
    """Dead letters of one fingerprint.

    Attributes:
        fingerprint: what they have in common.
        queue: where they are.
        reason: the short word.
        task: name of the task.
        cause: of the first of them.
        count: how many.
        bytes: they hold.
        first_at_ms: when the first was set aside.
        last_at_ms: when the last was.
    """

    fingerprint: str
    queue: str
    reason: str
    task: str
    cause: str
    count: int = 0
    bytes: int = 0
    first_at_ms: int = 0
    last_at_ms: int = 0


class DeadLetters:
    """Looks at dead letters and moves them.

    Args:
        store: the broker.
        queues: the queues that are meant.
        clock: for the rate of a redrive.
        pause: waits so many seconds; a test may hand in another.
    """

    def __init__(
        self,
        store: Store,
        queues: Sequence[str],
        *,
        clock: Clock | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._store = store
        self._queues = tuple(queues)
        self._clock = clock or SystemClock()
        self._pause = pause or threading.Event().wait

    def find(self, selection: Selection | None = None) -> Iterator[Letter]:
        """Yield the letters that are meant, oldest first in each queue; those that arrive meanwhile are left out."""
        chosen = selection or Selection()
        now_ms = self._store.server_time_ms()
        for queue in self._queues:
            ids = self._store.dead_ids(queue, since_ms=chosen.since_ms(now_ms), until_ms=chosen.until_ms(now_ms))
            for stored in self._store.dead_read(queue, ids):
                letter = Letter.of(stored)
                if chosen.takes(letter):
                    yield letter

    def get(self, id_: str) -> Letter:
        """Return the letter of a dead letter id or task id.

        Raises:
            InputError: there is none.
        """
        for letter in self.find(Selection(ids=frozenset({id_}))):
            return letter
        where = ", ".join(self._queues) if len(self._queues) <= NAMED_QUEUES else f"any of {len(self._queues)} queues"
        raise InputError(f"there is no dead letter {id_!r} in {where}: `hive dead list` shows them")

    def kinds(self, selection: Selection | None = None) -> list[Kind]:
        """Return the letters that are meant by kind, the most frequent first."""
        kinds: dict[tuple[str, str], Kind] = {}
        for letter in self.find(selection):
            stored = letter.stored
            kind = kinds.setdefault(
                (stored.queue, letter.fingerprint),
                Kind(
                    fingerprint=letter.fingerprint,
                    queue=stored.queue,
                    reason=stored.reason,
                    task=letter.task,
                    cause=stored.cause,
                    first_at_ms=stored.at_ms,
                ),
            )
            kind.count += 1
            kind.bytes += len(stored.payload)
            kind.last_at_ms = max(kind.last_at_ms, stored.at_ms)
        return sorted(kinds.values(), key=lambda kind: (-kind.count, kind.queue, kind.fingerprint))

    def redrive(
        self,
        selection: Selection,
        *,
        to: str | None = None,
        per_second: float | None = None,
        dry_run: bool = False,
        fresh: bool = False,
    ) -> int:
        """Move letters back to their queue: same id, same bytes, starts counted anew.

        A deadline and retries that are used up are part of the bytes: see :mod:`hive.deadletter.history`.

        Killed halfway, the rest is still there and the same call moves it. What fails again meanwhile comes back with
        both histories, and is not moved twice by one call.

        Args:
            selection: which; ``Selection()`` means all.
            to: another queue for all of them.
            per_second: letters at most; ``None``: as fast as it goes.
            dry_run: only count.
            fresh: as first attempts, without deadline and expiry; what says none of these keeps its bytes.

        Returns:
            How many moved, or would.

        Raises:
            BrokerGoneError: no reply; repeat the call.
        """
        chosen = self._ids(selection)
        if dry_run:
            return sum(map(len, chosen.values()))
        batch = BATCH_LETTERS if per_second is None else max(1, min(int(per_second * RATED_BATCH_S), BATCH_LETTERS))
        moved, began_s = 0, self._clock.monotonic_s()
        for queue, ids in chosen.items():
            place = 0
            while place < len(ids):
                if fresh:
                    self._freshen(queue, ids[place : place + batch])
                looked, count = self._store.redrive(queue, ids[place : place + batch], to=to)
                place, moved = place + looked, moved + count
                if per_second is not None:
                    self._wait_until(began_s + moved / per_second)
        return moved

    def _freshen(self, queue: str, ids: Sequence[str]) -> None:
        for stored in self._store.dead_read(queue, ids):
            payload = afresh(stored.payload)
            if payload is not None:
                # Somebody who edits or redrives it at the same time was first.
                self._store.dead_edit(stored, payload)

    def _wait_until(self, due_s: float) -> None:
        left_s = due_s - self._clock.monotonic_s()
        if left_s > 0:
            self._pause(left_s)

    def _ids(self, chosen: Selection) -> dict[str, list[str]]:
        if chosen.is_everything:
            return {queue: self._store.dead_ids(queue) for queue in self._queues}
        found: dict[str, list[str]] = {}
        for letter in self.find(chosen):
            found.setdefault(letter.stored.queue, []).append(letter.stored.id)
        return found

    def edit(self, id_: str, *, args: Any = None, kwargs: Any = None) -> Letter:
        """Give a letter other arguments; it stays a dead letter until it is redriven, under the same ids.

        Args:
            id_: the letter.
            args: a list, or ``None`` to keep them.
            kwargs: a mapping, or ``None`` to keep them.

        Raises:
            InputError: there is no such letter, it is no readable call, or somebody edited it at the same time.
        """
        if not isinstance(args, list | None) or not isinstance(kwargs, dict | None):
            raise InputError("arguments are a JSON list, keyword arguments a JSON object")
        letter = self.get(id_)
        payload = edited(letter.stored.payload, args, kwargs)
        if payload is None:
            raise InputError(f"dead letter {id_} is no readable call of a task: it can be exported, but not edited")
        if not self._store.dead_edit(letter.stored, payload):
            raise InputError(f"dead letter {id_} was redriven or edited by another meanwhile: look at it again")
        return self.get(letter.stored.id)

    def purge(self, selection: Selection) -> int:
        """Remove letters for good; returns how many. A repeat finds nothing."""
        return sum(self._store.dead_remove(queue, ids, "purged") for queue, ids in self._ids(selection).items())

    def counters(self) -> list[dict[str, Any]]:
        """Return for each queue how many letters there are, and how many ever came, went back and were archived."""
        rows = []
        for queue in self._queues:
            counters = self._store.stats(queue).counters
            names = ("dead", "redriven", "archived", "purged")
            rows.append(
                {
                    "queue": queue,
                    "letters": self._store.dead_count(queue),
                    "bytes": counters.get("dead_bytes", 0),
                    **{f"{name}_total": counters.get(name, 0) for name in names},
                }
            )
        return rows
