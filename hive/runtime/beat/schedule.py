"""The schedule of an application, as its code and its operators see and change it while beats run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.schedules import BaseSchedule
from kombu.utils.json import loads

from hive.errors import InputError, suggestion
from hive.runtime.beat.catching_up import Policy
from hive.runtime.beat.entry import CODE, OPERATOR, BeatEntry, definition_of, entry_of, source_of
from hive.store.beat_entries import BEAT, BeatEntries, EntryRecord
from hive.store.leadership import Leadership, Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """An entry as it stands.

    Attributes:
        name: of the entry.
        task: which it sends.
        schedule: when, as text.
        source: ``code`` or ``operator``.
        catch_up: ``none``, ``one`` or ``all``.
        zone: the time zone of the instants.
        is_paused: whether it is not sent at present.
        next_at: its next due time; ``None``: it is paused, has none, or only its code knows.
        sent_at: when it was sent last; ``None``: never.
        sent: how often it was sent.
        left_out: due times that were not made up for.
    """

    name: str
    task: str
    schedule: str
    source: str
    catch_up: str
    zone: str
    is_paused: bool
    next_at: datetime | None
    sent_at: datetime | None
    sent: int
    left_out: int


class Schedule:
    """What beat sends: ``app.schedule``. Changes hold for all beats, within a second; without a running beat, once one runs.

    Args:
        app: the application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    def entries(self) -> tuple[Scheduled, ...]:
        """Return all entries on the broker, by name. Those of the code are there once a beat has led.

        Raises:
            BrokerGoneError: no reply.
        """
        return tuple(self._shown(record) for record in self._entries.read().records.values())

    def leader(self) -> Term | None:
        """Return the term of the beat that leads; ``None``: none does."""
        return Leadership(self._app.access.store, BEAT, "", self._app.settings.beat.hold_s).current()

    def add(  # noqa: PLR0913 - what an entry of Celery's may say
        self,
        name: str,
        task: str,
        schedule: float | timedelta | BaseSchedule,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        catch_up: Policy | None = None,
        catch_up_most: int | None = None,
        zone: str | None = None,
        replace: bool = False,
    ) -> None:
        """Add an entry; it is due from now on.

        Args:
            name: of the entry.
            task: name of the task.
            schedule: seconds, a ``timedelta``, or Celery's ``crontab``, ``schedule`` or ``solar``.
            args: of the task, as JSON can hold them.
            kwargs: likewise.
            options: of ``apply_async``.
            catch_up: ``none``, ``one`` or ``all``; ``beat.catch_up`` if not given.
            catch_up_most: due times sent at once, at most; ``beat.catch_up_most`` if not given.
            zone: IANA name of a crontab's time zone; the application's if not given.
            replace: whether an entry of that name may be there; it keeps its last due time.

        Raises:
            InputError: the name is taken, or the entry cannot be meant, or cannot be stored, or the application's task
                does not take these arguments.
            BrokerGoneError: no reply; repeat it with ``replace``.

        Example:
            >>> app.schedule.add("tidy", "shop.tidy", crontab("30", "6"), zone="Europe/Berlin")  # doctest: +SKIP
        """
        if not name.strip():
            raise InputError("an entry needs a name")
        known = self._entries.read().records.get(name)
        if known is not None and source_of(known.definition) == CODE:
            raise InputError(f"entry {name!r} is declared in code; change it there, or choose another name")
        if known is not None and not replace:
            raise InputError(f"there is an entry {name!r}; remove it first, or replace it")
        entry = BeatEntry(
            name=name,
            app=self._app,
            task=task,
            schedule=schedule,
            args=tuple(args),
            kwargs=dict(kwargs or {}),
            options=dict(options or {}),
            catch_up=catch_up,
            catch_up_most=catch_up_most,
            zone=zone,
        )
        definition = definition_of(entry, OPERATOR)
        # What cannot be read back, or called, would never be sent.
        self._require_call(entry_of(self._app, name, definition))
        self._entries.put({name: definition})

    def pause(self, name: str) -> None:
        """Send an entry no more until it is resumed. Safe to repeat.

        Raises:
            InputError: there is no such entry.
            BrokerGoneError: no reply; repeat it.
        """
        self._pause(name, paused=True)

    def resume(self, name: str) -> None:
        """Send a paused entry again; what fell due meanwhile is not made up for. Safe to repeat.

        Raises:
            InputError: there is no such entry.
            BrokerGoneError: no reply; repeat it.
        """
        self._pause(name, paused=False)

    def remove(self, name: str) -> None:
        """Forget an operator's entry.

        Raises:
            InputError: there is none, or the code declares it: the next leader would put it back.
            BrokerGoneError: no reply; repeat it.
        """
        if source_of(self._record(name).definition) == CODE:
            raise InputError(f"entry {name!r} is declared in code: pause it, or take it out there")
        self._entries.remove([name])

    def run(self, name: str) -> Any:
        """Send an entry now, beside its due times, which stay as they are; a repeat sends it again.

        Returns:
            The result object.

        Raises:
            InputError: there is no such entry, or only its code knows its arguments.
            BrokerGoneError: no reply; it may have been sent.
        """
        return entry_of(self._app, name, self._record(name).definition).send({})

    def _require_call(self, entry: BeatEntry) -> None:
        """Make sure that a task the application knows takes the entry's arguments; Celery would refuse each firing."""
        task = self._app.tasks.get(entry.task)
        if task is None or not task.typing:
            return
        args, kwargs = entry.call_arguments()
        try:
            task.__header__(*args, **kwargs)
        except TypeError as error:
            raise InputError(f"entry {entry.name!r} cannot be sent: {error}") from error

    @property
    def _entries(self) -> BeatEntries:
        return BeatEntries(self._app.access.store)

    def _pause(self, name: str, *, paused: bool) -> None:
        if not self._entries.pause(name, paused=paused):
            self._record(name)

    def _record(self, name: str) -> EntryRecord:
        records = self._entries.read().records
        if name not in records:
            raise InputError(f"there is no entry {name!r}{suggestion(name, records)}")
        return records[name]

    def _shown(self, record: EntryRecord) -> Scheduled:
        fields = loads(record.definition)
        zone, next_ms = self._app.timezone, None
        try:
            entry = entry_of(self._app, record.name, record.definition)
            zone = entry.shown_zone
            if not record.is_paused:
                next_ms = entry.timing.next_after(record.fired_ms)
        except InputError:
            # Only its code knows when it is due; all else is shown.
            next_ms = None
        return Scheduled(
            name=record.name,
            task=fields["task"],
            schedule=_text(fields["schedule"]),
            source=fields["source"],
            catch_up=fields["catch_up"],
            zone=str(zone),
            is_paused=record.is_paused,
            next_at=_moment(next_ms, zone),
            sent_at=_moment(record.sent_at_ms or None, zone),
            sent=record.sent,
            left_out=record.left_out,
        )


def _text(fields: Mapping[str, Any]) -> str:
    if "every_s" in fields:
        return f"every {fields['every_s']:g} s"
    if "solar" in fields:
        event, lat, lon = fields["solar"]
        return f"{event} at {lat:g}, {lon:g}"
    return str(fields.get("crontab") or fields.get("shown"))


def _moment(at_ms: int | None, zone: Any) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
