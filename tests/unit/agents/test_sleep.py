"""Sleep windows over midnight, weekdays and daylight saving, against every minute on the wall; and who sleeps when."""

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.agents.cron import Cron
from hive.agents.lifecycle import AgentEvent, AgentState
from hive.agents.sleep_policy import SleepPolicy, Standing, wish
from hive.agents.windows import SleepWindow
from hive.errors import InputError
from hive.runtime.beat.entry import crontab_of, timing_of
from hive.runtime.beat.timing import CronTimes

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")
MINUTE_MS = 60_000


def ms(*parts: int, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return round(datetime(*parts, tzinfo=zone, fold=fold).timestamp() * 1000)


def open_minutes(window: SleepWindow, first_ms: int, last_ms: int) -> list[int]:
    return [at for at in range(first_ms, last_ms, MINUTE_MS) if window.open_until_ms(at) is not None]


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    window = SleepWindow(start="22:00", end="06:00", zone="Europe/Berlin", weekdays=(5,))
    friday, saturday = ms(2026, 11, 20, 22), ms(2026, 11, 21, 6)
    assert window.open_until_ms(friday) == saturday
    assert window.open_until_ms(saturday - 1) == saturday
    assert window.open_until_ms(friday - 1) is None
    assert window.open_until_ms(saturday) is None
    assert window.open_until_ms(ms(2026, 11, 21, 23)) is None


@pytest.mark.parametrize(
    ("start", "end", "day", "hours"),
    [
        ("01:00", "05:00", (2026, 3, 29), 3.0),
        ("01:00", "05:00", (2026, 10, 25), 5.0),
        ("02:30", "05:00", (2026, 3, 29), 1.5),
        ("01:30", "02:30", (2026, 3, 29), 1.0),
        ("01:00", "02:30", (2026, 10, 25), 2.5),
        ("02:15", "02:45", (2026, 10, 25), 1.5),
        ("02:10", "02:50", (2026, 3, 29), 40 / 60),
        ("22:00", "06:00", (2026, 10, 24), 9.0),
    ],
)
def test_daylight_saving_shifts_what_the_wall_clock_says_both_ways(
    start: str, end: str, day: tuple[int, int, int], hours: float
) -> None:
    window = SleepWindow(start=start, end=end, zone="Europe/Berlin")
    noon = ms(*day, 12)
    first, last = (noon, noon + 86_400_000) if start > end else (noon - 43_200_000, noon)
    minutes = open_minutes(window, first, last)
    assert len(minutes) == round(hours * 60)
    assert minutes[-1] - minutes[0] == (len(minutes) - 1) * MINUTE_MS, "one span"


@given(
    zone=st.sampled_from(ZONES),
    start=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    end=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    at=st.integers(1_704_300_000, 1_830_000_000).map(lambda at_s: datetime.fromtimestamp(at_s, UTC)),
)
def test_away_from_shifts_a_window_is_open_when_the_wall_clock_is_within_it(
    zone: str, start: time, end: time, at: datetime
) -> None:
    if start == end:
        return
    here = at.astimezone(ZoneInfo(zone))
    around = {(here + timedelta(hours=hours)).utcoffset() for hours in range(-48, 49, 6)}
    if len(around) > 1:
        return
    window = SleepWindow(start=start.isoformat(), end=end.isoformat(), zone=zone)
    wall = here.time()
    within = start <= wall < end if start < end else wall >= start or wall < end
    until = window.open_until_ms(round(at.timestamp() * 1000))
    assert (until is not None) == within
    if until is not None:
        assert datetime.fromtimestamp(until / 1000, ZoneInfo(zone)).time() == end


def test_a_window_of_a_cron_expression_opens_at_each_match() -> None:
    window = SleepWindow(cron="30 22 * * 1-5", for_s=3 * 3600, zone="Europe/Berlin")
    assert window.open_until_ms(ms(2026, 11, 21, 1, 29)) == ms(2026, 11, 21, 1, 30), "Friday's"
    assert window.open_until_ms(ms(2026, 11, 21, 22, 30)) is None, "a Saturday"
    assert window.open_until_ms(ms(2026, 11, 23, 22, 29)) is None
    assert window.open_until_ms(ms(2026, 11, 23, 22, 30)) is not None


def test_cron_fields_are_numbers_names_ranges_and_steps() -> None:
    cron = Cron.parse("*/20 0-6/3 1,15 * 7")
    assert (sorted(cron.minutes), sorted(cron.hours)) == ([0, 20, 40], [0, 3, 6])
    # Both day fields are restricted: both must match. 2026-11-01 and -15 are Sundays.
    assert [day for day in range(1, 31) if cron.matches_day(date(2026, 11, day))] == [1, 15]
    assert [day for day in range(1, 31) if Cron.parse("0 0 13 * *").matches_day(date(2026, 11, day))] == [13]
    assert sorted(Cron.parse("5/20 22-2 * Jan,mar fri-mon").weekdays) == [0, 1, 5, 6]
    for wrong in ("* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "* * * mon *", "*/0 * * * *", "1- * * * *"):
        with pytest.raises(InputError):
            Cron.parse(wrong)


def test_a_cron_expression_means_to_a_window_what_it_means_to_beat(rng: random.Random) -> None:
    def field(least: int, most: int, names: str = "") -> str:
        first, last = (str(rng.randint(least, most)) for _ in range(2))
        if names and rng.random() < 0.5:
            first, last = (rng.choice(names.split()) for _ in range(2))
        step = rng.randint(1, most)
        return rng.choice(["*", first, f"{first}-{last}", f"{first}-{last}/{step}", f"*/{step}", f"{first},{last}"])

    for _ in range(500):
        month, weekday = field(1, 12, "jan Feb dec"), field(0, 6, "sun Mon sat")
        expression = f"{field(0, 59)} {field(0, 23)} {field(1, 28)} {month} {weekday}"
        cron, beats = Cron.parse(expression), timing_of(crontab_of(expression), UTC)
        assert isinstance(beats, CronTimes)
        for name in ("minutes", "hours", "days", "months", "weekdays"):
            assert getattr(cron, name) == getattr(beats, name), (expression, name)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"start": "22:00", "end": "22:00"}, "two different times"),
        ({"start": "25:00", "end": "22:00"}, "no time of day"),
        ({"start": "22:00", "end": "06:00", "zone": "Mars/Olympus"}, "no time zone"),
        ({"start": "22:00", "end": "06:00", "weekdays": (0,)}, "weekdays are numbers"),
        ({"cron": "0 22 * * *"}, "give for_s"),
        ({"start": "22:00+01:00", "end": "06:00"}, "has an offset"),
    ],
)
def test_a_window_that_cannot_be_meant_is_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=why):
        SleepWindow(**wrong)


def test_who_sleeps_and_who_wakes() -> None:
    night = SleepWindow(start="22:00", end="06:00", zone="Europe/Berlin")
    policy = SleepPolicy(idle_s=600, windows=(night,))
    day_ms, night_ms = ms(2026, 11, 20, 12), ms(2026, 11, 20, 23)

    def event(at_ms: int, state: AgentState, **known: object) -> AgentEvent | None:
        found = wish(policy, Standing(state=state, **known), at_ms)
        return None if found is None else found.event

    assert event(day_ms, AgentState.AWAKE, idle_s=599) is None
    assert event(day_ms, AgentState.AWAKE, idle_s=600) is AgentEvent.SLEEP
    assert event(day_ms, AgentState.AWAKE, idle_s=600, running_count=1) is None
    assert event(night_ms, AgentState.AWAKE, idle_s=61) is AgentEvent.SLEEP
    assert event(night_ms, AgentState.AWAKE, idle_s=5) is None, "a message has just woken it"
    asleep = f"window {night}"
    assert event(night_ms, AgentState.SLEEPING, reason=asleep) is None
    assert event(day_ms, AgentState.SLEEPING, reason=asleep) is AgentEvent.WAKE
    assert event(day_ms, AgentState.SLEEPING, reason="by hand") is None
    assert event(day_ms, AgentState.SLEEPING, reason="by hand", waiting_count=1) is AgentEvent.WAKE
    assert SleepPolicy.of_table(policy.as_table()) == policy
    with pytest.raises(InputError):
        SleepPolicy.of_table({"idle": 5})
