"""Working on dead letters: reading, redriving, editing, removing, putting back."""

import hashlib
import json
from collections.abc import Iterator, Sequence

from hive.store.caller import Caller
from hive.store.condemned import Arrival, Arrivals
from hive.store.faults import translated
from hive.store.finishing import DEATHS_KEPT_MS
from hive.store.quarantine import dead_letter
from hive.store.values import DeadLetter

#: Letters that one script takes at most, and bytes after which it stops.
BATCH_LETTERS = 500
BATCH_BYTES = 1_048_576

#: How long whoever is to tell of a dead letter has it alone. Shorter than the memory of what was published, so that
#: what the next one publishes again is dropped.
TELLING_MS = 30_000


class DeadLetters(Caller):
    """What an operator and the archive do with dead letters; every step takes a bounded batch, all or nothing."""

    def dead_ids(
        self, queue: str, *, since_ms: int | None = None, until_ms: int | None = None, limit: int | None = None
    ) -> list[str]:
        """Return the ids of dead letters, oldest first: of those set aside from one instant to another, up to a limit."""
        low = "-inf" if since_ms is None else since_ms
        high = "+inf" if until_ms is None else until_ms
        with translated("dead_ids"):
            key, count = self.queue_keys(queue).key("dead"), -1 if limit is None else limit
            return [id_.decode() for id_ in self.client.zrangebyscore(key, low, high, start=0, num=count)]

    def dead_read(self, queue: str, ids: Sequence[str]) -> Iterator[DeadLetter]:
        """Read dead letters by id, a bounded batch at a time; one that is gone meanwhile is left out."""
        keys = self.queue_keys(queue).keys("dead:records", "dead:messages")
        place = 0
        while place < len(ids):
            batch = ids[place : place + BATCH_LETTERS]
            found = self.call("dead_read", keys, BATCH_BYTES, *batch)
            if not found:
                return
            for id_, (record, message) in zip(batch, (_pair(one) for one in found), strict=False):
                if record is not None and message is not None:
                    yield dead_letter(id_, queue, record, message)
            place += len(found)

    def redrive(self, queue: str, ids: Sequence[str], *, to: str | None = None) -> tuple[int, int]:
        """Move one batch of dead letters to the ready lists of a queue, their bytes untouched, counts of starts anew.

        One script moves them: killed before or after it, no letter is lost or doubled, and a repeat passes over what
        has moved.

        Args:
            queue: where they are dead letters.
            ids: which; at most 500 are looked at, and about 1 MB is moved.
            to: another queue to move them to.

        Returns:
            How many ids were looked at, from the first on, and how many letters moved.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        names, target = self.queue_keys(queue), self.queue_keys(to or queue)
        keys = [
            *names.keys("counters", "dead", "dead:records", "dead:messages"),
            *target.keys("deaths", "deaths:expiry", "wake", "scheduled", "scheduled:messages"),
            *target.ready,
        ]
        steps = self.layout.priority_steps
        looked, moved = self.call(
            "redrive", keys, self.now_argument(), DEATHS_KEPT_MS, BATCH_BYTES, len(steps), *steps, *ids[:BATCH_LETTERS]
        )
        return int(looked), int(moved)

    def dead_remove(self, queue: str, ids: Sequence[str], counter: str) -> int:
        """Remove dead letters for good and add them to a counter (``archived`` or ``purged``). Safe to repeat."""
        keys = self.queue_keys(queue).keys("counters", "dead", "dead:records", "dead:messages")
        batches = (ids[place : place + BATCH_LETTERS] for place in range(0, len(ids), BATCH_LETTERS))
        return sum(int(self.call("dead_remove", keys, counter, *batch)) for batch in batches)

    def dead_edit(self, letter: DeadLetter, payload: bytes) -> bool:
        """Replace the bytes of a dead letter; false if it is gone or was edited by another since it was read."""
        keys = self.queue_keys(letter.queue).keys("counters", "dead:records", "dead:messages")
        head = f"{letter.priority}:".encode()
        digest = hashlib.sha1(head + letter.payload, usedforsecurity=False).hexdigest()
        return bool(self.call("dead_edit", keys, self.now_argument(), letter.id, digest, head + payload))

    def dead_import(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        """Put dead letters back as they were; one whose id is there already is passed over.

        Returns:
            How many were put back.

        Raises:
            BrokerFullError: the broker is at its memory limit; nothing was put back.
        """
        keys = self.queue_keys(queue).keys("counters", "dead", "dead:records", "dead:messages")
        arguments: list[str | int | bytes] = []
        for letter in letters:
            arguments += [letter.id, letter.at_ms, letter.record, f"{letter.priority}:".encode() + letter.payload]
        return int(self.call("dead_import", keys, *arguments))

    def dead_arrivals(self, queue: str, count: int = 100) -> Arrivals:
        """Return how much the dead letters come to, and up to ``count`` that nobody has been told of.

        Those are handed to nobody else for half a minute; who does not say :meth:`dead_told` by then has died, and they
        are handed out again.
        """
        keys = self.queue_keys(queue).keys("counters", "dead", "dead:records", "dead:untold")
        letters, size_bytes, oldest_ms, now_ms, *flat = self.call(
            "dead_arrivals", keys, self.now_argument(), count, TELLING_MS
        )
        arrived = (
            _arrival(flat[place].decode(), json.loads(flat[place + 1].decode(errors="replace")))
            for place in range(0, len(flat), 2)
        )
        return Arrivals(
            queue=queue,
            count=letters,
            bytes=size_bytes,
            oldest_age_s=max(now_ms - oldest_ms, 0) / 1000 if oldest_ms >= 0 else None,
            arrived=tuple(arrived),
        )

    def dead_untold(self, queue: str, ids: Sequence[str]) -> set[str]:
        """Return those of the ids of which nobody has noted yet that everybody who waits was told."""
        if not ids:
            return set()
        with translated("dead_untold"):
            scores = self.client.zmscore(self.queue_keys(queue).key("dead", "untold"), ids)
        return {id_ for id_, score in zip(ids, scores, strict=True) if score is not None}

    def dead_told(self, queue: str, ids: Sequence[str]) -> int:
        """Note that everybody who waits for these dead letters was told; returns how many nobody had noted before."""
        key = self.queue_keys(queue).keys("dead:untold")
        batches = (ids[place : place + BATCH_LETTERS] for place in range(0, len(ids), BATCH_LETTERS))
        return sum(int(self.call("dead_told", key, *batch)) for batch in batches)


def _pair(found: Sequence[bytes | None]) -> tuple[bytes | None, bytes | None]:
    """Return record and message; a script's reply ends at its first nil."""
    record = found[0] if found else None
    return record, found[1] if len(found) > 1 else None


def _arrival(id_: str, fields: dict[str, object]) -> Arrival:
    at_ms = fields["at_ms"]
    return Arrival(
        id=id_,
        reason=str(fields["reason"]),
        cause=str(fields["cause"]),
        at_ms=int(at_ms) if isinstance(at_ms, int | float) else 0,
    )
