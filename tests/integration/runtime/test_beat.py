"""Beats on a real broker, by a clock of the test: who sends, once for each due time, and what operators change."""

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import BaseSchedule, crontab

from hive import Hive, InputError, load_settings
from hive.runtime.beat.scheduler import HiveScheduler
from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.testing import ManualClock
from tests.support.broker_clock import BrokerClock
from tests.support.redis_server import RedisServer

HOLD_S = 3


class Host:
    """Beats of one application, each with a clock of its own beside the broker's."""

    def __init__(self, server: RedisServer) -> None:
        self.server, self.prefix, self.broker_clock = server, f"beat{uuid.uuid4().hex[:8]}-", BrokerClock()
        self.clocks: list[ManualClock] = []
        self.client = server.client()

    def app(self, **conf: Any) -> Hive:
        settings = load_settings(
            broker={"url": self.server.url, "key_prefix": self.prefix},
            beat={"hold_s": HOLD_S},
            backpressure={"queues": {"bounded": {"max_length": 1}}},
        )
        app = Hive("beats", settings=settings, set_as_current=False)
        app.conf.update(task_default_queue="beats", **conf)
        return app

    def beat(self, app: Hive) -> HiveScheduler:
        clock = ManualClock()
        self.clocks.append(clock)
        beat = HiveScheduler(app, clock=clock)
        beat._store = Store(
            self.server.client(retry=never_repeating()),
            layout=Layout(prefix=self.prefix),
            settings=DeliverySettings(),
            now_ms=self.broker_clock,
        )
        return beat

    def advance(self, seconds: float, *, frozen: ManualClock | None = None) -> None:
        self.broker_clock.now_ms += round(seconds * 1000)
        for clock in self.clocks:
            if clock is not frozen:
                clock.advance(seconds)

    def sent(self, queue: str = "beats") -> list[tuple[str, float]]:
        """Return entry and due time in seconds from the test's beginning of what waits, the oldest first."""
        waiting = [json.loads(raw)["headers"] for raw in reversed(self.client.lrange(self.prefix + queue, 0, -1))]
        return [(one["hive_entry"], (one["hive_due_ms"] - BrokerClock.now_ms) / 1000) for one in waiting]


@pytest.fixture
def host(redis_server: RedisServer) -> Iterator[Host]:
    host = Host(redis_server)
    yield host
    host.client.close()


def ticks(beat: HiveScheduler, count: int = 5) -> float:
    """Let a beat turn until it would sleep."""
    for _ in range(count):
        pause_s = beat.tick()
        if pause_s:
            break
    return pause_s


EVERY_10 = {"tidy": {"task": "shop.tidy", "schedule": 10.0, "args": (1,), "options": {"queue": "beats"}}}


def test_one_leads_and_another_goes_on_where_it_stopped(host: Host) -> None:
    first, second = (host.beat(host.app(beat_schedule=EVERY_10)) for _ in range(2))
    ticks(first), ticks(second)
    assert (first.term is not None, second.term) == (True, None)
    host.advance(10)
    ticks(first), ticks(second)
    assert host.sent() == [("tidy", 10)]
    first.close()
    host.advance(10.5)
    ticks(second)
    assert host.sent() == [("tidy", 10), ("tidy", 20)]
    assert second.tick() == pytest.approx(1, abs=0.01)


def test_a_leader_that_was_frozen_sends_nothing_twice(host: Host) -> None:
    frozen, other = (host.beat(host.app(beat_schedule=EVERY_10)) for _ in range(2))
    ticks(frozen)
    host.advance(9.9)
    ticks(frozen)
    host.advance(0.1)
    (planned,) = frozen._planned.values()
    host.advance(HOLD_S, frozen=host.clocks[0])
    ticks(other)
    assert host.sent() == [("tidy", 10)]
    # It wakes up between its look at the clock and its publish, and believes in itself still.
    assert frozen.term is not None
    frozen._send_due(planned)
    assert host.sent() == [("tidy", 10)]
    assert frozen.term is None
    # Even if it were the leader: this due time is over.
    other.close()
    host.advance(1)
    ticks(frozen)
    assert frozen.term is not None
    planned.fired_ms = BrokerClock.now_ms
    frozen._fire(planned, BrokerClock.now_ms + 10_000, 0)
    assert host.sent() == [("tidy", 10)]


def test_what_was_missed_is_made_up_for_as_each_entry_declares(host: Host) -> None:
    given = {"task": "shop.tidy", "schedule": 10.0}
    app = host.app(
        beat_schedule={
            "none": {**given, "catch_up": "none"},
            "one": given,
            "all": {**given, "catch_up": "all", "catch_up_most": 5},
        }
    )
    beat = host.beat(app)
    ticks(beat)
    host.advance(99)
    ticks(beat)
    sent = host.sent()
    assert [due for name, due in sent if name == "none"] == [90]
    assert [due for name, due in sent if name == "one"] == [90]
    assert [due for name, due in sent if name == "all"] == [50, 60, 70, 80, 90]
    assert {entry.name: (entry.sent, entry.left_out) for entry in app.schedule.entries()} == {
        "none": (1, 8),
        "one": (1, 8),
        "all": (5, 4),
    }


def test_operators_change_entries_while_beat_runs(host: Host) -> None:
    app = host.app(beat_schedule=EVERY_10)
    beat = host.beat(app)
    ticks(beat)
    app.schedule.add("mine", "shop.mine", 10, kwargs={"a": 1}, catch_up="none")
    now_ms = host.client.hget(f"{host.prefix}{{hive:lead:beat}}:hive:fired", "mine")
    assert now_ms is not None
    # The application's own store reads the server's clock, which the test's broker does not follow.
    host.client.hset(f"{host.prefix}{{hive:lead:beat}}:hive:fired", "mine", BrokerClock.now_ms)
    app.schedule.pause("tidy")
    host.advance(10)
    ticks(beat)
    assert host.sent() == [("mine", 10)]
    with pytest.raises(InputError, match="declared in code"):
        app.schedule.remove("tidy")
    with pytest.raises(InputError, match="did you mean 'mine'"):
        app.schedule.pause("mines")
    with pytest.raises(InputError, match="there is an entry"):
        app.schedule.add("mine", "shop.mine", 5)
    shown = {entry.name: entry for entry in app.schedule.entries()}
    assert shown["tidy"].is_paused
    assert shown["tidy"].next_at is None
    assert (shown["mine"].source, shown["mine"].sent) == ("operator", 1)
    app.schedule.remove("mine")
    app.schedule.resume("tidy")
    host.client.hset(f"{host.prefix}{{hive:lead:beat}}:hive:fired", "tidy", host.broker_clock.now_ms)
    host.advance(10)
    ticks(beat)
    assert host.sent() == [("mine", 10), ("tidy", 20)]
    app.schedule.run("tidy")
    waiting = json.loads(host.client.lrange(host.prefix + "beats", 0, 0)[0])["headers"]
    assert "hive_due_ms" not in waiting


def test_entries_that_the_code_no_longer_has_are_taken_away(host: Host) -> None:
    old = host.beat(host.app(beat_schedule={**EVERY_10, "old": {"task": "shop.old", "schedule": crontab()}}))
    ticks(old)
    host.app().schedule.add("mine", "shop.mine", 10, kwargs={"source": "code"})
    old.close()
    app = host.app(beat_schedule=EVERY_10)
    ticks(host.beat(app))
    assert [entry.name for entry in app.schedule.entries()] == ["mine", "tidy"]


def test_periodic_tasks_of_the_code_are_entries(host: Host) -> None:
    app = host.app()

    @app.task(shared=False, name="shop.count")
    def count(number: int) -> None: ...

    @app.on_after_configure.connect
    def declare(sender: Celery, **_: Any) -> None:
        sender.add_periodic_task(10.0, count.s(3), name="by signal", catch_up="all", expires=60)

    app.add_periodic_task(crontab("0", "6"), count.s(4), name="by call", zone="Europe/Berlin")
    app.finalize()
    beat = host.beat(app)
    assert beat.schedule["by signal"].catch_up.policy == "all"
    ticks(beat)
    host.advance(10)
    ticks(beat)
    assert host.sent() == [("by signal", 10)]
    shown = {entry.name: entry for entry in app.schedule.entries()}
    assert shown["by call"].zone == "Europe/Berlin"
    next_at = shown["by call"].next_at
    assert next_at is not None
    assert (next_at.hour, next_at.minute) == (6, 0)


def test_a_full_queue_delays_and_what_cannot_be_sent_is_left_out(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    app = host.app(
        beat_schedule={
            "bounded": {"task": "shop.a", "schedule": 10.0, "options": {"queue": "bounded"}},
            "broken": {"task": "shop.b", "schedule": 10.0, "args": (BeatLazyFunc(fails),)},
            **EVERY_10,
        }
    )
    beat = host.beat(app)
    ticks(beat)
    host.client.lpush(f"{host.prefix}bounded", "{}")
    host.advance(10)
    with caplog.at_level(logging.WARNING):
        ticks(beat)
    assert host.sent() == [("tidy", 10)]
    assert "broken: cannot be sent" in caplog.text
    host.client.delete(f"{host.prefix}bounded")
    host.advance(1)
    ticks(beat)
    assert host.sent("bounded") == [("bounded", 10)]
    left_out = {entry.name: entry.left_out for entry in app.schedule.entries()}
    assert left_out == {"bounded": 0, "broken": 1, "tidy": 0}


def test_a_schedule_of_the_user_that_fails_stops_no_other(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(BaseSchedule):
        """Has no next time, or cannot say it."""

        def __init__(self, says: Callable[[], timedelta], **given: Any) -> None:
            super().__init__(**given)
            self.says = says

        def remaining_estimate(self, last_run_at: datetime) -> timedelta:
            return self.says()

    given = {"never": Failing(lambda: timedelta(days=-1)), "fails": Failing(lambda: timedelta(seconds=1 / 0))}
    entries = {name: {"task": "shop.own", "schedule": schedule} for name, schedule in given.items()}
    beat = host.beat(host.app(beat_schedule={**entries, **EVERY_10}))
    ticks(beat)
    assert "never: its schedule fails" in caplog.text
    assert "fails: its schedule fails" in caplog.text
    host.advance(10)
    ticks(beat)
    assert host.sent() == [("tidy", 10)]


def test_the_host_clock_does_not_matter_and_that_of_the_broker_sends_nothing_twice(host: Host) -> None:
    beat = host.beat(host.app(beat_schedule=EVERY_10))
    ticks(beat)
    host.clocks[0].step(86_400)
    ticks(beat)
    host.advance(10)
    ticks(beat)
    assert host.sent() == [("tidy", 10)]
    host.broker_clock.now_ms -= 5_000
    for _ in range(4):
        host.advance(2)
        ticks(beat)
    assert host.sent() == [("tidy", 10)]
    host.advance(7)
    ticks(beat)
    assert host.sent() == [("tidy", 10), ("tidy", 20)]


def test_a_broker_that_is_away_is_asked_again(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    host = Host(own_redis)
    beat = host.beat(host.app(beat_schedule={"tidy": {"task": "shop.tidy", "schedule": 10.0, "catch_up": "all"}}))
    ticks(beat)
    own_redis.stop()
    host.advance(30)
    waits: Callable[[], float] = beat.tick
    with caplog.at_level(logging.WARNING):
        assert waits() == pytest.approx(HOLD_S / 3)
        assert waits() == pytest.approx(HOLD_S / 3)
    assert caplog.text.count("does not answer") == 1
    own_redis.start()
    ticks(beat)
    assert host.sent() == [("tidy", 10), ("tidy", 20), ("tidy", 30)]
