"""Entries of beat: Celery's, with a catch-up policy and a zone, and how they stand on the broker."""

import copy
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from celery.beat import BeatLazyFunc, ScheduleEntry
from celery.schedules import BaseSchedule, ParseException, crontab, schedule, solar
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps, loads

from hive.errors import InputError
from hive.runtime.beat.catching_up import CatchUp, Policy
from hive.runtime.beat.timing import Chained, CronTimes, Interval, Timing
from hive.runtime.calling.backpressure import WAITS_OPTION

#: Where an entry comes from.
CODE, OPERATOR = "code", "operator"

#: What an entry may say beside Celery's keys; with ``add_periodic_task`` these stand among its options.
OURS = ("catch_up", "catch_up_most", "zone")

#: Two events of the sun are further apart than this; what its computation finds sooner is the same one again.
SUN_APART_MS = 600_000

#: How often a schedule is asked for a due time that is later than the last.
ASKED_MOST = 1_000


class BeatEntry(ScheduleEntry):
    """Celery's entry, which knows when it is due on its own grid.

    Args:
        catch_up: ``none``, ``one`` or ``all``; the application's ``beat.catch_up`` if not given.
        catch_up_most: due times sent at once, at most; ``beat.catch_up_most`` if not given.
        zone: IANA name of the time zone of a crontab; the application's if not given.
        given: Celery's keys.

    Raises:
        InputError: the policy, the zone or the interval cannot be meant.
    """

    options: dict[str, Any]
    zone: str | None

    def __init__(
        self,
        catch_up: Policy | None = None,
        catch_up_most: int | None = None,
        zone: str | None = None,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        if self.schedule is None or not self.task:
            raise InputError(f"entry {self.name!r}: a task and a schedule are meant")
        # Celery's add_periodic_task passes on what it does not know as options.
        options: dict[str, Any] = dict(given.get("options") or {})
        policy, most, self.zone = (
            options.pop(name, value) for name, value in zip(OURS, (catch_up, catch_up_most, zone), strict=True)
        )
        self.options = options
        defaults = self.app.settings.beat
        self.catch_up = CatchUp(
            policy=policy or defaults.catch_up, most=defaults.catch_up_most if most is None else most
        )
        self.timing = timing_of(self.schedule, self.shown_zone)

    @property
    def shown_zone(self) -> tzinfo:
        """The zone in which its due times are shown, and a crontab's are meant."""
        return zone_of(self.zone) if self.zone else self.app.timezone

    def call_arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return what its task is called with; what is to be made for each call is made now."""
        args = [made() if isinstance(made, BeatLazyFunc) else made for made in self.args or ()]
        kwargs = {name: made() if isinstance(made, BeatLazyFunc) else made for name, made in self.kwargs.items()}
        return args, kwargs

    def send(self, properties: Mapping[str, Any], due_ms: int | None = None) -> Any:
        """Call the task as the options say; returns the result object.

        Args:
            properties: of the message, beside the entry's options.
            due_ms: for which due time; the task finds it in its headers, as ``hive_due_ms``.
        """
        args, kwargs = self.call_arguments()
        headers = {**(self.options.get("headers") or {}), "celery_beat_task": True, "hive_entry": self.name}
        if due_ms is not None:
            headers["hive_due_ms"] = due_ms
        options = {**self.options, **properties, "headers": headers}
        if self.app.backpressure.bounds and due_ms is not None:
            # The lead would end while beat waits for room.
            options[WAITS_OPTION] = False
        task = self.app.tasks.get(self.task)
        if task is None:
            return self.app.send_task(self.task, args, kwargs, **options)
        return task.apply_async(args, kwargs, **options)


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        InputError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"there is no time zone {name!r}; write an IANA name such as 'Europe/Berlin'") from error


def timing_of(given: BaseSchedule, zone: tzinfo) -> Timing:
    """Return when a schedule of Celery's is due; one that is neither interval nor crontab says so itself, step by step.

    Raises:
        InputError: its interval is not positive.
    """
    if type(given) is crontab:
        return CronTimes(
            minutes=frozenset(given.minute),
            hours=frozenset(given.hour),
            weekdays=frozenset(given.day_of_week),
            days=frozenset(given.day_of_month),
            months=frozenset(given.month_of_year),
            zone=zone,
        )
    if isinstance(given, schedule) and round(given.seconds * 1000) < 1:
        raise InputError(f"an interval of {given.seconds:g} s: at least a millisecond is meant")
    if type(given) is schedule and not given.relative:
        return Interval(round(given.seconds * 1000))
    return Chained(lambda after_ms: _following(given, after_ms))


def _following(given: BaseSchedule, after_ms: int) -> int:
    """Return the instant that a schedule names when it is asked at another; its own idea of the present is replaced.

    Raises:
        InputError: it names none that is later, whenever it is asked.
    """
    apart_ms = SUN_APART_MS if isinstance(given, solar) else 1
    asked_ms = after_ms
    for _ in range(ASKED_MOST):
        moment = datetime.fromtimestamp(asked_ms / 1000, UTC)
        asked = copy.copy(given)
        asked.nowfun = lambda moment=moment: moment
        found_ms = asked_ms + round(_estimate(asked, moment) / timedelta(milliseconds=1))
        if found_ms - after_ms >= apart_ms:
            return found_ms
        asked_ms += apart_ms
    raise InputError(f"the schedule {given!r} names no due time after the one it is asked at")


def _estimate(asked: BaseSchedule, moment: datetime) -> timedelta:
    if type(asked).remaining_estimate is BaseSchedule.remaining_estimate:
        seconds: Any = asked.is_due(moment)[1]
        return timedelta(seconds=seconds)
    return asked.remaining_estimate(moment)


def definition_of(entry: BeatEntry, source: str) -> bytes:
    """Return an entry as it stands on the broker. Arguments that are no JSON are left out; only its code knows them."""
    fields = {
        "task": entry.task,
        "source": source,
        "schedule": described(entry.schedule),
        "catch_up": entry.catch_up.policy,
        "catch_up_most": entry.catch_up.most,
        "zone": entry.zone,
    }
    try:
        called = {"args": list(entry.args or ()), "kwargs": entry.kwargs, "options": entry.options}
        return str(dumps({**fields, **called}, sort_keys=True)).encode()
    except (EncodeError, TypeError, ValueError):
        return json.dumps({**fields, "is_opaque": True}, sort_keys=True).encode()


def source_of(definition: bytes) -> str:
    """Return where an entry on the broker comes from."""
    return str(loads(definition)["source"])


def entry_of(app: Any, name: str, definition: bytes) -> BeatEntry:
    """Return the entry that :func:`definition_of` described.

    Raises:
        InputError: its schedule is one that only its code knows.
    """
    fields: dict[str, Any] = loads(definition)
    if fields.get("is_opaque"):
        raise InputError(f"entry {name!r}: only the code that declares it knows its arguments")
    known = {key: fields[key] for key in ("task", "args", "kwargs", "options", *OURS)}
    return BeatEntry(name=name, app=app, schedule=schedule_of(name, fields["schedule"]), **known)


def described(given: BaseSchedule) -> dict[str, Any]:
    """Return a schedule as JSON can hold it."""
    if type(given) is crontab:
        fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        return {"crontab": " ".join(_field(getattr(given, f"_orig_{field}")) for field in fields)}
    if type(given) is schedule:
        return {"every_s": given.seconds, "relative": bool(given.relative)}
    if type(given) is solar:
        return {"solar": [given.event, given.lat, given.lon]}
    return {"shown": repr(given)}


def schedule_of(name: str, fields: Mapping[str, Any]) -> BaseSchedule:
    """Return the schedule that :func:`described` described.

    Raises:
        InputError: it is one that only its code knows.
    """
    if "crontab" in fields:
        return crontab_of(fields["crontab"])
    if "every_s" in fields:
        return schedule(timedelta(seconds=fields["every_s"]), relative=fields.get("relative", False))
    if "solar" in fields:
        return solar(*fields["solar"])
    raise InputError(f"entry {name!r}: only the code that declares it knows its schedule, {fields.get('shown')}")


def crontab_of(expression: str) -> crontab:
    """Return the schedule of an expression such as ``30 6 * * 1-5``: minute, hour, day of month, month, day of week.

    Raises:
        InputError: it cannot be read.
    """
    fields = expression.split()
    if len(fields) != 5:
        raise InputError(f"crontab {expression!r}: five fields are meant, such as '30 6 * * 1-5', not {len(fields)}")
    minute, hour, day_of_month, month_of_year, day_of_week = fields
    try:
        return crontab(minute, hour, day_of_week, day_of_month, month_of_year)
    except (ParseException, ValueError) as error:
        raise InputError(f"crontab {expression!r} cannot be read: {error}") from error


def _field(value: object) -> str:
    return (
        ",".join(map(str, sorted(value))) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
    )
