"""The guard of tasks that declare what they need of their host."""

import pytest

from hive import Hive
from hive.agents.types import Resources
from hive.guards.guard import Answer, GuardedCall
from hive.resources.host import host_name
from hive.runtime.guarding.needing import TOLD_AGAIN_S, TaskNeeds
from hive.testing import ManualClock
from tests.support.redis_server import RedisServer


def _call(retries: int, token: int) -> GuardedCall:
    where = f"q consumer {token}"
    return GuardedCall(id="task", task="t", queue="q", retries=retries, arguments=lambda: ((), {}), where=where)


def test_an_attempt_that_ends_gives_back_its_own_booking_only(own_redis: RedisServer) -> None:
    app = Hive("needs", broker=own_redis.url)
    guard = TaskNeeds(app.bookings, Resources(memory_mb=100))
    first, redelivered, retry = _call(0, 1), _call(0, 2), _call(1, 3)
    for call in (first, redelivered, retry):
        assert guard.ask(call).answer is Answer.RUN
    # A retry begins before its last attempt was told of as ended; a frozen worker ends what another one has begun anew.
    guard.ended(first, None)
    guard.release(redelivered)
    assert list(app.access.store.bookings(host_name())) == ["task:1:3"]
    app.bookings.of_process.run_once()
    guard.ended(retry, None)
    assert app.access.store.bookings(host_name()) == {}
    app.bookings.of_process.stop()


def test_what_does_not_fit_is_asked_again_by_the_clock_of_the_broker(own_redis: RedisServer) -> None:
    app = Hive("needs", broker=own_redis.url)
    # The broker's clock is far behind that of this host; were it ahead, the task would be asked again without a pause.
    app.access.store._now_ms = lambda: 5_000
    verdict = TaskNeeds(app.bookings, Resources(memory_mb=10**9)).ask(_call(0, 1))
    assert (verdict.answer, verdict.due_ms) == (Answer.WAIT, 6_000)


def test_what_can_never_run_here_is_told_once_a_minute(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    app, clock = Hive("needs", broker=own_redis.url), ManualClock()
    guard = TaskNeeds(app.bookings, Resources(memory_mb=10**9), clock)
    for _ in range(3):
        guard.ask(_call(0, 1))
    assert caplog.text.count("can never run here, it waits for another host") == 1
    clock.advance(TOLD_AGAIN_S)
    guard.ask(_call(0, 1))
    assert caplog.text.count("can never run here") == 2
