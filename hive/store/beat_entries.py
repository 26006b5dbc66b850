"""What beat sends, on the broker: entries, until when each was sent, and the step that sends one.

Due times of an entry only grow, so one number says which are over. :func:`fire` compares it, and the term of
who asks, in the step that publishes: a firing is published once for each due time, whoever else believes to lead.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from hive.store.caller import Caller
from hive.store.faults import translated
from hive.store.leadership import Term, leader_key
from hive.store.publishing import Publishing
from hive.store.values import Outgoing

#: What is led by the beat that sends.
BEAT = "beat"


class Fired(Enum):
    """What became of a firing."""

    SENT = 1
    """It is on the broker, or a guard of its task says that an earlier call stands for it."""
    REPEAT = 2
    """It was sent before, or left out; nothing was changed."""
    GONE = 0
    """There is no such entry any more, or it is paused; nothing was changed."""
    STALE = -1
    """The term has ended: another leads; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """One sending of an entry.

    Attributes:
        entry: its name.
        due_ms: for which due time.
        term: of who sends it.
        left_out: due times before it that are not sent.
        tell: called with what became of it, by whoever publishes; it never leaves the process.
    """

    entry: str
    due_ms: int
    term: int
    left_out: int = 0
    tell: Callable[[Fired], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRecord:
    """What the broker knows of an entry.

    Attributes:
        name: of the entry.
        definition: as it was put.
        fired_ms: the last due time that is over; of one that was never sent, when it was put.
        sent_at_ms: when it was sent last, by the broker; 0: never.
        sent: how often it was sent.
        left_out: how many due times were not made up for.
        is_paused: whether it is sent at present.
    """

    name: str
    definition: bytes
    fired_ms: int
    sent_at_ms: int
    sent: int
    left_out: int
    is_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """All entries at one moment.

    Attributes:
        revision: grows with every change by :meth:`BeatEntries.put`, ``remove`` and ``pause``.
        now_ms: the broker's time.
        records: by name, in order.
    """

    revision: int
    now_ms: int
    records: Mapping[str, EntryRecord]


class BeatEntries:
    """Reads and changes what beat sends; keeps nothing in memory.

    Args:
        store: the broker.
    """

    def __init__(self, store: Caller) -> None:
        self._store = store

    def read(self) -> Timetable:
        """Return all entries.

        Raises:
            BrokerGoneError: no reply.
        """
        with translated("beat entries"), self._store.client.pipeline(transaction=True) as pipeline:
            for kind in ("entries", "fired", "runs", "paused"):
                pipeline.hgetall(_key(self._store, kind))
            pipeline.get(_key(self._store, "revision"))
            pipeline.time()
            entries, fired, runs, paused, revision, (seconds, microseconds) = pipeline.execute()
        handed = self._store.now_argument()
        records = {}
        for name in sorted(entries):
            sent_at_ms, sent, left_out = map(int, runs.get(name, b"0 0 0").split())
            records[name.decode()] = EntryRecord(
                name=name.decode(),
                definition=entries[name],
                fired_ms=int(fired.get(name, 0)),
                sent_at_ms=sent_at_ms,
                sent=sent,
                left_out=left_out,
                is_paused=name in paused,
            )
        now_ms = int(handed) if handed else seconds * 1000 + microseconds // 1000
        return Timetable(revision=int(revision or 0), now_ms=now_ms, records=records)

    def revision(self) -> int:
        """Return what grows with every change.

        Raises:
            BrokerGoneError: no reply.
        """
        with translated("beat revision"):
            return int(self._store.client.get(_key(self._store, "revision")) or 0)

    def put(self, definitions: Mapping[str, bytes], term: Term | None = None) -> bool:
        """Put entries, each in place of the one of its name; a new one is due from now on. Safe to repeat.

        Args:
            definitions: by name; kept as they are.
            term: of the leader; none: an operator says so.

        Returns:
            Whether they were put; false: the term has ended.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        pairs = [part for pair in definitions.items() for part in pair]
        return bool(self._call("beat_put", ("fired", "revision"), self._store.now_argument(), _number(term), *pairs))

    def remove(self, names: Iterable[str], term: Term | None = None) -> int:
        """Forget entries, and when they were sent; returns how many there were. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        wanted = list(names)
        kinds = ("fired", "runs", "paused", "revision")
        return max(self._call("beat_remove", kinds, _number(term), *wanted), 0) if wanted else 0

    def pause(self, name: str, *, paused: bool) -> bool:
        """Pause an entry, or let it go on from now on; returns whether there is such an entry. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        keys = [_key(self._store, kind) for kind in ("entries", "paused", "fired", "revision")]
        return bool(self._store.call("beat_pause", keys, self._store.now_argument(), name, int(paused)))

    def skip(self, firing: Firing) -> Fired:
        """Send nothing for a due time and those before it; ``left_out`` says how many. Safe to repeat.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        return Fired(self._call("beat_skip", ("fired", "runs"), *_asked(self._store, firing)))

    def _call(self, name: str, kinds: Sequence[str], *arguments: Any) -> int:
        keys = [leader_key(self._store, BEAT), *(_key(self._store, kind) for kind in ("entries", *kinds))]
        return int(self._store.call(name, keys, *arguments))


class _RefusedError(Exception):
    """The firing was not carried out."""

    def __init__(self, fired: Fired) -> None:
        self.fired = fired
        super().__init__(fired)


class _Bearing(Publishing):
    """The publishing side of a store, each of whose scripts runs within that of one firing."""

    store: Caller
    firing: Firing

    @classmethod
    def of(cls, store: Caller, firing: Firing) -> Self:
        found = cls.__new__(cls)
        found.__dict__.update(vars(store), store=store, firing=firing)
        return found

    def call(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        kinds = ("entries", "fired", "runs", "paused")
        own = [leader_key(self.store, BEAT), *(_key(self.store, kind) for kind in kinds)]
        reply = self.store.call(f"beat_fire:{name}", [*own, *keys], *_asked(self.store, self.firing), *arguments)
        if reply[0] != Fired.SENT.value:
            raise _RefusedError(Fired(reply[0]))
        return reply[1]


def fire(store: Caller, firing: Firing, message: Outgoing) -> Fired:
    """Publish a message for a due time of an entry, as :meth:`hive.store.publishing.Publishing.publish` does. Safe to repeat.

    Raises:
        MessageTooLargeError: it is over ``max_message_bytes``; nothing was sent.
        QueueFull: its guard bounds the queue, and there is no room: the firing is due still.
        BrokerFullError: the broker is at its memory limit; the firing is due still.
        BrokerGoneError: no reply; it may have been published. Repeat it.
    """
    try:
        _Bearing.of(store, firing).publish(message)
        fired = Fired.SENT
    except _RefusedError as refused:
        fired = refused.fired
    if firing.tell is not None:
        firing.tell(fired)
    return fired


def _asked(store: Caller, firing: Firing) -> list[str | int]:
    return [store.now_argument(), firing.term, firing.entry, firing.due_ms, firing.left_out]


def _number(term: Term | None) -> str | int:
    return "" if term is None else term.number


def _key(store: Caller, kind: str) -> str:
    return store.layout.shared(f"hive:lead:{BEAT}", kind)
