"""Waits of an event loop on which the broker does not answer in time, against a real broker."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import kombu
import pytest
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

from hive.clock import SystemClock
from hive.testing.proxy import FaultProxy
from hive.transport.connection import Connection
from hive.transport.install import install
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

install()

WAIT_S = 60.0


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        yield proxy


def _turn_until(hub: Hub, condition: Callable[[], Any], wait_s: float = WAIT_S) -> None:
    clock = SystemClock()
    until_s = clock.monotonic_s() + wait_s
    while not condition():
        assert clock.monotonic_s() < until_s, "that never comes"
        hub.run_once()


def test_one_timer_serves_many_waits_and_a_wait_that_is_overdue_ends(
    proxy: FaultProxy, redis_server: RedisServer
) -> None:
    name, seen, hub = f"q-{uuid.uuid4().hex[:8]}", list[int](), Hub()
    queue = kombu.Queue(name, kombu.Exchange(name, type="direct"), routing_key=name)
    options = {"socket_timeout": 0.5}
    with (
        Connection(f"redis://127.0.0.1:{proxy.port}/0", transport_options=options) as connection,
        Connection(redis_server.url) as other,
    ):
        channel, producer = connection.channel(), other.Producer()
        channel.brpop_timeout = 0.3
        connection.transport.register_with_event_loop(connection.connection, hub)

        def take(message: Any) -> None:
            seen.append(message.payload)
            message.ack()

        with kombu.Consumer(channel, [queue], on_message=take):
            _turn_until(hub, lambda: channel._in_poll)
            timers, waits = len(hub.timer.queue), set[float]()
            for number in range(50):
                producer.publish(number, exchange=queue.exchange, routing_key=name, declare=[queue])
                _turn_until(hub, lambda: channel._in_poll and len(seen) > number)  # noqa: B023 - called at once
                waits.add(channel._brpop_sent_at)
            assert len(waits) > 25
            # What is to be sent soon has one, too.
            assert len(hub.timer.queue) <= timers + 10
            # Nothing is owed, so that nothing but the wait can find out.
            _turn_until(hub, lambda: channel._in_poll and not channel.consumer.outbox)
            deaf = channel._in_poll._sock
            proxy.black_hole()
            try:
                with suppress(connection.connection_errors):
                    _turn_until(hub, lambda: deaf.fileno() < 0)
            finally:
                proxy.heal()
            assert deaf.fileno() < 0
        assert seen == [*range(50)]
    hub.close()


def test_the_first_wait_after_a_busy_time_is_found_overdue_in_time(
    proxy: FaultProxy, redis_server: RedisServer
) -> None:
    # As in a worker: without a timer that is due sooner the loop polls for ten seconds.
    name, hub, clock = f"q-{uuid.uuid4().hex[:8]}", Hub(timer=Timer(max_interval=10.0)), SystemClock()
    queue, held = kombu.Queue(name, kombu.Exchange(name, type="direct"), routing_key=name), list[Any]()
    with (
        Connection(proxy.url, transport_options={"socket_timeout": 0.5}) as connection,
        Connection(redis_server.url) as other,
    ):
        channel = connection.channel()
        channel.brpop_timeout = 1.5
        connection.transport.register_with_event_loop(connection.connection, hub)
        # The loop polls until the reply comes, so another has to see that it waits.
        cut = threading.Thread(target=lambda: (eventually(lambda: channel._in_poll), proxy.black_hole()))
        with kombu.Consumer(channel, [queue], on_message=held.append) as consumer:
            consumer.qos(prefetch_count=1)
            other.Producer().publish(1, exchange=queue.exchange, routing_key=name, declare=[queue])
            _turn_until(hub, lambda: held and not channel.consumer.outbox)
            assert channel._overdue_look is None
            cut.start()
            # As the autoscaler makes room: nothing is owed to the broker, so nothing else ends the poll that follows.
            hub.call_later(0.1, lambda: consumer.qos(prefetch_count=2))
            try:
                with suppress(connection.connection_errors):
                    _turn_until(hub, lambda: channel._in_poll and not channel._in_poll.is_connected)
                assert clock.monotonic_s() - channel._brpop_sent_at < 7
            finally:
                cut.join()
                proxy.heal()
    hub.close()


def test_a_nudge_is_no_event_to_who_drains_the_connection_of_a_loop_that_does_not_run(
    redis_server: RedisServer,
) -> None:
    name, hub = f"q-{uuid.uuid4().hex[:8]}", Hub()
    queue = kombu.Queue(name, kombu.Exchange(name, type="direct"), routing_key=name)
    with Connection(redis_server.url) as connection:
        channel = connection.channel()
        connection.transport.register_with_event_loop(connection.connection, hub)
        with kombu.Consumer(channel, [queue], no_ack=True, on_message=print):
            connection.transport.cycle.nudge()
            # It returns as long as anything comes: a worker that asked the others at its start would ask for ever.
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    connection.drain_events(timeout=0.2)
    hub.close()
