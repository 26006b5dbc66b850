"""Consumers that never acknowledge, as those that wait for the replies of ``inspect``."""

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import kombu
import pytest
from kombu.transport.redis import Transport as StockTransport

from hive.transport.connection import Connection
from hive.transport.install import install
from tests.support.redis_server import RedisServer

install()


@pytest.fixture
def queue() -> kombu.Queue:
    name = f"replies-{uuid.uuid4().hex[:8]}"
    return kombu.Queue(name, kombu.Exchange(name, type="direct"), routing_key=name)


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[kombu.Connection]:
    with Connection(redis_server.url, transport_options={"hive": {"poll_every_s": 60.0}}) as connection:
        yield connection


def reply(connection: kombu.Connection, queue: kombu.Queue, body: str, **options: Any) -> None:
    connection.Producer().publish(body, exchange=queue.exchange, routing_key=queue.name, declare=[queue], **options)


@pytest.mark.parametrize("prefix", ["", "shop:"])
def test_a_stock_worker_s_reply_arrives_at_once_though_it_leaves_no_token(
    redis_server: RedisServer, queue: kombu.Queue, prefix: str
) -> None:
    options = {"global_keyprefix": prefix}
    bodies: list[str] = []
    with (
        Connection(redis_server.url, transport_options={**options, "hive": {"poll_every_s": 60.0}}) as connection,
        kombu.Connection(redis_server.url, transport=StockTransport, transport_options=options) as stock,
        connection.Consumer([queue], on_message=lambda message: bodies.append(message.payload), no_ack=True),
    ):
        for body, priority in (("first", 0), ("second", 6)):
            with pytest.raises(socket.timeout):
                connection.drain_events(timeout=0.1)
            reply(stock, queue, body, priority=priority)
            connection.drain_events(timeout=40)
    assert bodies == ["first", "second"]


def test_a_cancelled_consumer_takes_nothing_and_the_next_one_gets_it_at_once(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    bodies: list[str] = []
    for number in range(3):
        with connection.Consumer([queue], on_message=lambda message: bodies.append(message.payload), no_ack=True):
            if number:
                connection.drain_events(timeout=40)
            with pytest.raises(socket.timeout):
                connection.drain_events(timeout=0.1)
        reply(connection, queue, str(number))
        assert redis_server.client().llen(queue.name) == 1
    assert bodies == ["0", "1"]


def test_what_was_taken_and_not_delivered_goes_back(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    client = redis_server.client()
    reply(connection, queue, "only")
    channel = connection.channel()
    consumer = kombu.Consumer(channel, [queue], on_message=lambda message: None, no_ack=True)
    consumer.consume()
    channel.turn()
    assert client.llen(queue.name) == 0
    consumer.cancel()
    assert client.llen(queue.name) == 1
    # Nobody is registered for what has no record.
    assert client.keys(f"*{queue.name}*:hive:consumers*") == []
