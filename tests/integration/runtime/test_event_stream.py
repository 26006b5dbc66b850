"""Events of a worker whose broker is away, over a connection that a proxy cuts."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from hive import Hive
from hive.clock import SystemClock
from hive.runtime.worker import event_stream
from hive.testing import ManualClock
from hive.testing.proxy import FaultProxy
from tests.support.redis_server import RedisServer

TIMEOUT_S = 0.3


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        yield proxy


def test_an_event_waits_for_no_broker_and_is_sent_once_it_is_back(
    proxy: FaultProxy, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    app = Hive("events", broker=proxy.url, broker_transport_options={"socket_timeout": TIMEOUT_S})
    app.process.clock, clock = ManualClock(), SystemClock()
    with app.connection_for_write() as connection, redis_server.client().pubsub() as listener:
        listener.psubscribe("*.celeryev/*")
        assert _next_event(listener) is None
        dispatcher = app.events.Dispatcher(connection, hostname="here")
        dispatcher.send("worker-first")
        proxy.black_hole()
        began_s = clock.monotonic_s()
        try:
            # With retry, as Celery's own heartbeat.
            with caplog.at_level(logging.WARNING, event_stream.__name__):
                for number in range(20):
                    dispatcher.send("worker-heartbeat" if number % 2 else f"worker-news{number}", retry=True)
        finally:
            took_s = clock.monotonic_s() - began_s
            proxy.reset()
            proxy.heal()
        assert len(caplog.records) == 1
        assert took_s < 10 * TIMEOUT_S
        assert dispatcher.dropped_count == 10
        app.process.clock.advance(event_stream.REST_S)
        dispatcher.send("worker-last")
        received = [_next_event(listener)]
        while received[-1] != "worker.last":
            received.append(_next_event(listener))
    assert received == ["worker.first", *(f"worker.news{number}" for number in range(0, 20, 2)), "worker.last"]


def _next_event(listener: Any) -> str | None:
    """Return the type of the next event, or None for a word about the subscription."""
    message = listener.get_message(timeout=5)
    assert message is not None, "no event came"
    return message["channel"].decode().rpartition("/")[2] if message["type"] == "pmessage" else None


def test_the_oldest_events_make_way_and_go_over_to_the_next_connection(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "MOST_KEPT", 5)
    app = Hive("events", broker=proxy.url)
    with app.connection_for_write() as connection, app.connection_for_write() as later:
        dispatcher = app.events.Dispatcher(connection)
        dispatcher.send("worker-first")
        proxy.refuse()
        for number in range(8):
            dispatcher.send("worker-news", number=number)
        proxy.heal()
        successor = app.events.Dispatcher(later)
        successor.extend_buffer(dispatcher)
        assert [event["number"] for event, _ in successor._outbound_buffer] == [3, 4, 5, 6, 7]
        assert successor.dropped_count == 3
        successor.flush()
        assert not successor._outbound_buffer


def test_an_event_that_cannot_be_written_holds_up_no_other(redis_server: RedisServer) -> None:
    app = Hive("events", broker=redis_server.url)
    with app.connection_for_write() as connection:
        dispatcher = app.events.Dispatcher(connection)
        dispatcher.send("worker-odd", odd=object())
        dispatcher.send("worker-fine")
        assert not dispatcher._outbound_buffer
        assert dispatcher.dropped_count == 1
