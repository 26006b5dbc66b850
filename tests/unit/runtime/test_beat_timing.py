"""When entries are due: intervals, crontabs where clocks are set, Celery's other schedules; and what is made up for."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import BaseSchedule, crontab, schedule, solar

from hive import Hive
from hive.errors import InputError
from hive.runtime.beat.catching_up import CatchUp, decide
from hive.runtime.beat.entry import CODE, BeatEntry, definition_of, entry_of, timing_of
from hive.runtime.beat.timing import Interval, Timing

BERLIN, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")


def ms(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp() * 1000)


def local(timing: Timing, begin_ms: int, end_ms: int, zone: ZoneInfo = BERLIN) -> list[str]:
    dues = timing.between(begin_ms, end_ms, 10_000)
    assert len(dues.newest) == dues.count
    return [datetime.fromtimestamp(due_ms / 1000, zone).strftime("%d %H:%M %z") for due_ms in dues.newest]


SPRING = ms("2026-03-29 00:00"), ms("2026-03-30 00:00")
AUTUMN = ms("2026-10-25 00:00"), ms("2026-10-26 00:00")


@pytest.mark.parametrize(
    ("given", "spring", "autumn"),
    [
        (crontab("30", "2"), ["29 03:30 +0200"], ["25 02:30 +0200"]),
        (crontab("30", "3"), ["29 03:30 +0200"], ["25 03:30 +0100"]),
        (crontab("30", "2,3"), ["29 03:30 +0200"], ["25 02:30 +0200", "25 03:30 +0100"]),
        (
            crontab("0", "1-3"),
            ["29 01:00 +0100", "29 03:00 +0200"],
            ["25 01:00 +0200", "25 02:00 +0200", "25 03:00 +0100"],
        ),
    ],
    ids=str,
)
def test_a_time_of_day_is_due_once_where_clocks_are_set(given: Any, spring: list[str], autumn: list[str]) -> None:
    timing = timing_of(given, BERLIN)
    assert local(timing, *SPRING) == spring
    assert local(timing, *AUTUMN) == autumn


def test_every_hour_follows_the_hours_as_they_pass() -> None:
    for given, apart_ms in ((crontab("30"), 3_600_000), (crontab("*/20"), 1_200_000)):
        timing = timing_of(given, BERLIN)
        for begin_ms, end_ms, hours in ((*SPRING, 23), (*AUTUMN, 25)):
            dues = timing.between(begin_ms - 1, end_ms - 1, 10_000).newest
            assert len(dues) == hours * 3_600_000 // apart_ms
            assert {later - earlier for earlier, later in pairwise(dues)} == {apart_ms}


def test_clocks_that_are_set_by_half_an_hour() -> None:
    """On 4 October 2026 2:00 becomes 2:30 there; on 5 April 2026 2:00 becomes 1:30."""
    timing = timing_of(crontab("15", "2"), LORD_HOWE)
    spring = ms("2026-10-04 00:00", LORD_HOWE), ms("2026-10-05 00:00", LORD_HOWE)
    assert local(timing, *spring, LORD_HOWE) == ["04 02:45 +1100"]
    timing = timing_of(crontab("45", "1"), LORD_HOWE)
    autumn = ms("2026-04-05 00:00", LORD_HOWE), ms("2026-04-06 00:00", LORD_HOWE)
    assert local(timing, *autumn, LORD_HOWE) == ["05 01:45 +1100"]


def test_crontabs_without_clock_changes_are_what_celery_says() -> None:
    rng = random.Random(7)
    zone = ZoneInfo("UTC")
    app = Hive("timing", set_as_current=False)
    for _ in range(150):
        given = crontab(
            minute=rng.choice(["*/7", "0", "5,50", "13-17"]),
            hour=rng.choice(["*", "*/5", "3", "22-23"]),
            day_of_week=rng.choice(["*", "mon-fri", "0"]),
            day_of_month=rng.choice(["*", "1-7", "31"]),
            month_of_year=rng.choice(["*", "1-3", "*/5"]),
            app=app,
        )
        after = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=rng.randrange(3 * 525_600))
        given.nowfun = lambda after=after: after
        expected = after + given.remaining_estimate(after)
        found = timing_of(given, zone).next_after(round(after.timestamp() * 1000))
        assert found == round(expected.timestamp() * 1000), (given, after)


def test_a_day_that_comes_once_in_28_years_is_found() -> None:
    leap_sunday = timing_of(crontab("0", "0", day_of_week="0", day_of_month="29", month_of_year="2"), ZoneInfo("UTC"))
    found = leap_sunday.next_after(ms("2026-01-01 00:00", ZoneInfo("UTC")))
    assert found == ms("2032-02-29 00:00", ZoneInfo("UTC"))


def test_other_schedules_say_themselves_when_they_are_due() -> None:
    class Odd(BaseSchedule):
        """Due at the next second of the minute that is 7 or 40, as a schedule that only knows ``is_due``."""

        def is_due(self, last_run_at: datetime) -> tuple[bool, float]:  # type: ignore[override]
            second = last_run_at.second
            return False, min((mark - second) % 60 or 60 for mark in (7, 40))

    app = Hive("timing", set_as_current=False)
    begin_ms = ms("2026-03-29 00:00")
    odd = timing_of(Odd(app=app), BERLIN).between(begin_ms, begin_ms + 120_000, 10)
    assert [(due_ms - begin_ms) // 1000 for due_ms in odd.newest] == [7, 40, 67, 100]
    hourly = timing_of(schedule(timedelta(hours=1), relative=True, app=app), BERLIN)
    assert hourly.next_after(begin_ms + 5 * 60_000) == begin_ms + 3_600_000
    with pytest.raises(InputError, match="at least a millisecond"):
        timing_of(schedule(0), BERLIN)


def test_the_sun() -> None:
    app = Hive("timing", set_as_current=False)
    timing = timing_of(solar("sunset", 52.52, 13.40, app=app), BERLIN)
    sunsets = local(timing, ms("2026-06-20 00:00"), ms("2026-06-23 00:00"))
    assert [text[:7] for text in sunsets] == ["20 21:3", "21 21:3", "22 21:3"]


def test_what_is_late_is_sent_and_what_is_missed_is_as_declared() -> None:
    timing, now_ms = Interval(10_000), 1_000_000
    late = decide(timing, CatchUp(policy="none"), fired_ms=now_ms - 14_000, now_ms=now_ms, missed_after_ms=15_000)
    assert late.send == (now_ms - 4_000,)
    fired_ms = now_ms - 95_000

    def after_an_outage(catch_up: CatchUp) -> Any:
        return decide(timing, catch_up, fired_ms=fired_ms, now_ms=now_ms, missed_after_ms=15_000)

    one, none = after_an_outage(CatchUp(policy="one")), after_an_outage(CatchUp(policy="none"))
    every, few = after_an_outage(CatchUp(policy="all")), after_an_outage(CatchUp(policy="all", most=4))
    dues = tuple(fired_ms + 10_000 * number for number in range(1, 10))
    assert (one.send, one.left_out) == (dues[-1:], 8)
    assert (none.send, none.left_out) == (dues[-2:], 7)
    assert (every.send, every.left_out) == (dues, 0)
    assert (few.send, few.left_out) == (dues[-4:], 5)
    assert {decision.over_ms for decision in (one, none, every, few)} == {dues[-1]}


def test_a_long_outage_of_a_short_interval_is_decided_at_once() -> None:
    year_ms = 365 * 86_400_000
    decision = decide(Interval(100), CatchUp(policy="all", most=3), fired_ms=0, now_ms=year_ms, missed_after_ms=15_000)
    assert decision.send == (year_ms - 200, year_ms - 100, year_ms)
    assert decision.left_out == year_ms // 100 - 3


def test_an_entry_comes_back_from_the_broker_as_it_went() -> None:
    app = Hive("timing", set_as_current=False)
    for given in (30.0, crontab("*/5", "6", "1-5"), crontab(minute=[3, 9], hour={4})):
        entry = BeatEntry(
            name="e",
            app=app,
            task="t",
            schedule=given,
            args=(1,),
            kwargs={"a": "b"},
            zone="Europe/Berlin",
            catch_up="all",
        )
        back = entry_of(app, "e", definition_of(entry, CODE))
        assert (back.task, back.args, back.kwargs, back.catch_up, back.zone) == (
            "t",
            [1],
            {"a": "b"},
            entry.catch_up,
            entry.zone,
        )
        assert back.timing == entry.timing
    assert BeatEntry(name="e", app=app, task="t", schedule=9, options={"zone": "UTC", "queue": "q"}).options == {
        "queue": "q"
    }
    for wrong in ({"catch_up": "some"}, {"catch_up_most": 0}, {"zone": "Mars/Olympus"}):
        with pytest.raises(InputError):
            BeatEntry(name="e", app=app, task="t", schedule=9, **wrong)
