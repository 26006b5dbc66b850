"""Claims that stand behind a wait for a token, under an event loop and against a real broker."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import kombu
import pytest
from kombu.asynchronous import Hub

from hive.clock import SystemClock
from hive.testing.proxy import FaultProxy
from hive.transport.connection import Connection
from hive.transport.install import install
from hive.transport.process import Process
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

install()

WAIT_S = 60.0


class Loop:
    """A worker's channel under an event loop, and who publishes to its queue."""

    def __init__(self, server: RedisServer, port: int) -> None:
        name = f"q-{uuid.uuid4().hex[:8]}"
        self.queue = kombu.Queue(name, kombu.Exchange(name, type="direct"), routing_key=name)
        self.name, self.hub, self.broker = name, Hub(), server.client()
        #: What was seen, in its order: steps on the broker, and bodies of messages.
        self.seen: list[Any] = []
        self.connection = Connection(f"redis://127.0.0.1:{port}/0", transport_options={"socket_timeout": 0.5})
        self.connection.hive_process = Process()
        self.connection.hive_process.at = lambda name, when: self.seen.append((name, when))
        self.channel = self.connection.channel()
        self.channel.begins_tasks = True
        # None of the waits ends but by a token.
        self.channel.brpop_timeout = 2 * WAIT_S
        self.other = Connection(server.url)
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        self.consumer = kombu.Consumer(self.channel, [self.queue], on_message=self.take)
        self.connection.transport.register_with_event_loop(self.connection.connection, self.hub)
        for part in (self.connection, self.other, self.consumer):
            self._parts.enter_context(part)
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()
        self.hub.close()

    def take(self, message: Any) -> None:
        self.seen.append(message.payload)
        message.ack()

    def publish(self, body: Any) -> None:
        self.other.Producer().publish(body, exchange=self.queue.exchange, routing_key=self.name, declare=[self.queue])

    def until(self, condition: Callable[[], Any]) -> None:
        clock = SystemClock()
        until_s = clock.monotonic_s() + WAIT_S
        while not condition():
            assert clock.monotonic_s() < until_s, "that never comes"
            self.hub.run_once()

    def wait(self) -> None:
        """Turn until it waits with a claim behind, and owes nothing."""
        self.until(lambda: self.channel._in_poll and self.channel._ahead and not self.channel.consumer.owes)

    def in_flight(self) -> int:
        return sum(self.broker.hlen(key) for key in self.broker.keys(f"{{{self.name}}}:hive:inflight:*"))

    def until_taken(self) -> None:
        """Wait until the broker has given a message to the wait; nobody reads the reply meanwhile."""
        eventually(self.in_flight, WAIT_S, what="the claim behind the wait is carried out")


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def loop(redis_server: RedisServer, proxy: FaultProxy) -> Iterator[Loop]:
    with Loop(redis_server, proxy.port) as loop:
        yield loop


def test_a_message_comes_with_the_token_that_told_of_it(loop: Loop) -> None:
    loop.seen.clear()
    loop.publish("first")
    loop.until(lambda: "first" in loop.seen)
    # Without those of the lease's thread.
    steps = [step for step in loop.seen[: loop.seen.index("first")] if step[0] not in {"renew", "tick", "reconcile"}]
    # The claim was on its way before there was a message: after it came, nobody asked anything.
    assert steps == [("claim", "after")]
    loop.wait()
    assert loop.in_flight() == 0


def test_what_a_wait_took_whose_connection_was_lost_comes_again_once(loop: Loop, proxy: FaultProxy) -> None:
    proxy.black_hole()
    loop.publish("kept")
    loop.until_taken()
    assert proxy.reset() > 0
    proxy.heal()
    with pytest.raises(loop.connection.connection_errors):
        loop.until(lambda: "kept" in loop.seen)
    loop.until(lambda: "kept" in loop.seen)
    loop.wait()
    assert loop.seen.count("kept") == 1
    assert loop.in_flight() == 0


def test_what_a_wait_took_goes_back_when_nobody_consumes_any_more(loop: Loop) -> None:
    loop.publish("unread")
    loop.until_taken()
    loop.consumer.cancel()
    loop.channel.hand_back()
    assert "unread" not in loop.seen
    assert loop.in_flight() == 0
    assert loop.broker.llen(loop.name) == 1
    assert not loop.broker.exists(f"{{{loop.name}}}:hive:deaths")


def test_another_channel_claims_while_one_waits(loop: Loop) -> None:
    beside = loop.connection.channel()
    name = f"{loop.name}-beside"
    queue = kombu.Queue(name, kombu.Exchange(name, type="direct"), routing_key=name)
    loop.other.Producer().publish("beside", exchange=queue.exchange, routing_key=name, declare=[queue])
    message = beside.basic_get(name)
    assert message.payload == "beside"
    message.ack()
    loop.publish("waited for")
    loop.until(lambda: "waited for" in loop.seen)
    loop.wait()
    assert loop.in_flight() == 0


def test_a_broker_that_forgot_the_script_is_asked_again(loop: Loop) -> None:
    loop.broker.script_flush()
    loop.publish("after all")
    loop.until(lambda: "after all" in loop.seen)
    loop.wait()
    assert loop.in_flight() == 0
