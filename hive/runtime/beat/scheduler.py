"""The scheduler that Celery's beat runs: it campaigns for the lead, and sends what is due while it has it."""

import os
import socket
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from celery.beat import Scheduler
from celery.utils.log import get_logger
from kombu.exceptions import OperationalError

from hive.clock import Clock, SystemClock
from hive.errors import BrokerError, BrokerRefusedError, InputError, QueueFull
from hive.runtime.beat.catching_up import Decision, decide
from hive.runtime.beat.entry import CODE, BeatEntry, definition_of, entry_of, source_of
from hive.store.beat_entries import BEAT, BeatEntries, EntryRecord, Fired, Firing
from hive.store.leadership import Leadership, Term
from hive.store.store import Store
from hive.transport.envelope import FIRES

logger = get_logger("celery.beat")

#: A lead is renewed when this part of it is over: two renewals may fail before it ends.
RENEW_PART = 1 / 3

#: Seconds until an entry whose queue is full is tried again.
FULL_RETRY_S = 1.0

_GONE = (BrokerError, OperationalError)


@dataclass(slots=True, kw_only=True)
class Planned:
    """An entry that the leader sends.

    Attributes:
        entry: what and when.
        fired_ms: the last due time that is over.
        next_ms: when to look at it next, by the broker; ``None``: never.
        is_full: whether its queue was full at the last try.
    """

    entry: BeatEntry
    fired_ms: int
    next_ms: int | None
    is_full: bool = False


class HiveScheduler(Scheduler):
    """Celery's scheduler on hive's broker; see :mod:`hive.runtime.beat` for what it guarantees.

    Celery's own loop calls :meth:`tick` and sleeps as long as that says; it holds no state that would be lost with it.

    Args:
        app: the application, a :class:`hive.Hive`.
        args: as Celery's beat gives them.
        clock: measures time between two answers of the broker.
        given: as Celery's beat gives them; the file name of a schedule is not used.

    Raises:
        BrokerRefusedError: the application's broker is not hive's.
        InputError: an entry of the code cannot be meant.
    """

    Entry = BeatEntry

    def __init__(self, app: Any, *args: Any, clock: Clock | None = None, **given: Any) -> None:
        self._clock = clock or SystemClock()
        self._store: Store | None = None
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._term: Term | None = None
        self._revision = -1
        self._planned: dict[str, Planned] = {}
        self._renew_at_s = 0.0
        self._ahead_ms = 0.0
        self._is_away = False
        super().__init__(app, *args, **given)

    def setup_schedule(self) -> None:
        """Take the entries of the code; the broker is asked when beat runs."""
        self.merge_inplace(self.app.conf.beat_schedule)
        self.install_default_entries(self.schedule)

    def should_sync(self) -> bool:
        """Whether there is something to write down: never, all is on the broker."""
        return False

    def tick(self, *_: Any, **__: Any) -> float:
        """Renew the lead or ask for it, and send what is due; returns the seconds until the next look."""
        try:
            pause_s = self._turn()
        except _GONE as error:
            if not self._is_away:
                logger.warning("beat: the broker does not answer, asking again: %s", error)
            self._is_away = True
            return self._renew_every_s
        if self._is_away:
            logger.warning("beat: the broker answers again")
        self._is_away = False
        return pause_s

    def close(self) -> None:
        """Give up the lead, so that another beat has it at once. A repeat does nothing."""
        if self._term is not None and self._store is not None:
            self._term = None
            try:
                self._leadership(self._store).resign()
            except _GONE as error:
                logger.warning("beat: the lead ends by itself, the broker does not answer: %s", error)
        super().close()

    @property
    def info(self) -> str:
        """What Celery's beat shows of it when it starts."""
        return f"    . lead -> {self.app.settings.beat.hold_s:g} s, as {self._holder}"

    @property
    def term(self) -> Term | None:
        """The term under which this beat leads, as far as it knows."""
        return self._term

    @property
    def _renew_every_s(self) -> float:
        return float(self.app.settings.beat.hold_s * RENEW_PART)

    def _turn(self) -> float:
        if self._clock.monotonic_s() >= self._renew_at_s:
            self._renew()
        if self._term is not None:
            for planned in self._due():
                self._send_due(planned)
                if self._term is None or self._clock.monotonic_s() >= self._renew_at_s:
                    break
        return self._pause_s()

    def _pause_s(self) -> float:
        pause_s = self._renew_at_s - self._clock.monotonic_s()
        if self._term is not None:
            next_ms = min((one.next_ms for one in self._planned.values() if one.next_ms is not None), default=None)
            if next_ms is not None:
                pause_s = min(pause_s, (next_ms - self._now_ms()) / 1000)
        return max(pause_s, 0.0)

    def _now_ms(self) -> int:
        """Return the broker's time, counted on from its last answer: clocks of this host may be set."""
        return round(self._clock.monotonic_s() * 1000 + self._ahead_ms)

    def _connected(self) -> Store:
        if self._store is None:
            channel = self.app.access.channel
            if not hasattr(channel, "store"):
                raise BrokerRefusedError(
                    "beat needs hive's broker for its lead: set beat_scheduler = 'celery.beat:PersistentScheduler' "
                    "to run Celery's own on another"
                )
            self._store = channel.store
        return self._store

    def _leadership(self, store: Store) -> Leadership:
        return Leadership(store, BEAT, self._holder, self.app.settings.beat.hold_s)

    def _renew(self) -> None:
        store, before = self._connected(), self._term
        self._renew_at_s = self._clock.monotonic_s() + self._renew_every_s
        self._term = term = self._leadership(store).campaign()
        if term is None:
            if before is not None:
                logger.warning("beat: another beat leads")
            return
        self._ahead_ms = term.now_ms - self._clock.monotonic_s() * 1000
        entries = BeatEntries(store)
        if before is None or before.number != term.number:
            logger.info("beat: leads, term %d", term.number)
            self._publish_entries(entries, term)
            self._load(entries)
        elif entries.revision() != self._revision:
            self._load(entries)

    def _publish_entries(self, entries: BeatEntries, term: Term) -> None:
        """Put the code's entries on the broker, and take away those that the code no longer has."""
        known = entries.read().records
        own = {name: definition_of(entry, CODE) for name, entry in self.schedule.items()}
        changed = {name: own[name] for name in own if name not in known or known[name].definition != own[name]}
        if changed:
            entries.put(changed, term)
        gone = [name for name in known if name not in own and source_of(known[name].definition) == CODE]
        entries.remove(gone, term)

    def _load(self, entries: BeatEntries) -> None:
        """Learn what is to be sent; an entry of another's code that only that can send is left to it."""
        table = entries.read()
        self._revision, self._planned = table.revision, {}
        for name, record in table.records.items():
            if not record.is_paused and (entry := self._entry(name, record)) is not None:
                self._planned[name] = planned = Planned(entry=entry, fired_ms=record.fired_ms, next_ms=None)
                self._look_ahead(planned)

    def _entry(self, name: str, record: EntryRecord) -> BeatEntry | None:
        own: BeatEntry | None = self.schedule.get(name)
        if own is not None:
            return own
        try:
            return entry_of(self.app, name, record.definition)
        except InputError as error:
            logger.warning("beat: %s", error)
            return None

    def _due(self) -> list[Planned]:
        now_ms = self._now_ms()
        due = [one for one in self._planned.values() if one.next_ms is not None and one.next_ms <= now_ms]
        return sorted(due, key=lambda one: one.next_ms or 0)

    def _send_due(self, planned: Planned) -> None:
        """Send what an entry owes, the oldest first, until the lead is to be renewed; the rest is due at the next turn."""
        entry, decision = planned.entry, self._decide(planned)
        left_out = decision.left_out
        if left_out:
            logger.warning(
                "beat: %s: %d due times are left out (catch_up=%s)", entry.name, left_out, entry.catch_up.policy
            )
        if decision.over_ms is not None and not decision.send:
            self._settle(planned, decision.over_ms, self._skip(entry.name, decision.over_ms, left_out))
        for due_ms in decision.send:
            fired = self._fire(planned, due_ms, left_out)
            left_out = 0
            if not self._settle(planned, due_ms, fired) or self._clock.monotonic_s() >= self._renew_at_s:
                break

    def _decide(self, planned: Planned) -> Decision:
        entry = planned.entry
        try:
            return decide(
                entry.timing,
                entry.catch_up,
                fired_ms=planned.fired_ms,
                now_ms=self._now_ms(),
                missed_after_ms=round(self.app.settings.beat.missed_after_s * 1000),
            )
        except Exception as error:
            self._cannot_say(planned, error)
            return Decision()

    def _look_ahead(self, planned: Planned) -> None:
        try:
            planned.next_ms = planned.entry.timing.next_after(planned.fired_ms)
        except Exception as error:
            self._cannot_say(planned, error)

    def _cannot_say(self, planned: Planned, error: Exception) -> None:
        """Go on without an entry whose schedule, which may be a user's own code, fails."""
        planned.next_ms = None
        text = "beat: %s: its schedule fails, it is not sent until entries change"
        logger.error(text, planned.entry.name, exc_info=error)

    def _settle(self, planned: Planned, due_ms: int, fired: Fired | None) -> bool:
        """Note what became of a due time; returns whether the entry goes on."""
        if fired is None:
            planned.next_ms = self._now_ms() + round(FULL_RETRY_S * 1000)
            return False
        if fired is Fired.STALE:
            logger.warning("beat: another beat leads")
            self._term = None
            return False
        if fired is Fired.GONE:
            # Removed or paused a moment ago: the next look at the revision says which.
            planned.next_ms = None
            return False
        planned.fired_ms, planned.is_full = due_ms, False
        self._look_ahead(planned)
        return True

    def _fire(self, planned: Planned, due_ms: int, left_out: int) -> Fired | None:
        """Send an entry for a due time; ``None``: its queue is full. What can never be sent is left out."""
        entry, told = planned.entry, list[Fired]()
        number = 0 if self._term is None else self._term.number
        firing = Firing(entry=entry.name, due_ms=due_ms, term=number, left_out=left_out, tell=told.append)
        try:
            entry.send({FIRES: firing}, due_ms)
        except QueueFull as full:
            if not planned.is_full:
                logger.warning("beat: %s: trying again: %s", entry.name, full)
            planned.is_full = True
            return None
        except _GONE:
            raise
        except Exception:
            # Whatever a user's arguments, router or task do: the other entries must go on.
            logger.exception("beat: %s: cannot be sent, and is left out", entry.name)
            left_out += 1
        else:
            logger.info("beat: sent %s (%s)", entry.name, entry.task)
        # Nobody was told: the task was not published through the broker's own step.
        return told[-1] if told else self._skip(entry.name, due_ms, left_out)

    def _skip(self, name: str, due_ms: int, left_out: int) -> Fired:
        number = 0 if self._term is None else self._term.number
        return BeatEntries(self._connected()).skip(Firing(entry=name, due_ms=due_ms, term=number, left_out=left_out))
