"""Fault points: a process can be told of each step on the broker, to die there."""

import kombu
import pytest

from hive.transport.connection import Connection
from hive.transport.install import install
from hive.transport.process import Process
from tests.support.redis_server import RedisServer

install()


class DiedError(BaseException):
    """Stands for the death of the process."""


@pytest.mark.parametrize("step", ["publish", "register", "claim", "finish"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_death_at_any_step_loses_nothing(own_redis: RedisServer, step: str, when: str) -> None:
    queue = kombu.Queue("q", kombu.Exchange("q", type="direct"), routing_key="q")
    seen: list[tuple[str, str]] = []

    def die(name: str, at: str) -> None:
        seen.append((name, at))
        if (name, at) == (step, when):
            raise DiedError

    def work(connection: kombu.Connection) -> None:
        connection.Producer().publish("x", exchange=queue.exchange, routing_key="q", declare=[queue])
        with connection.Consumer([queue], on_message=lambda message: message.ack()):
            connection.drain_events(timeout=60)

    connection = Connection(own_redis.url)
    connection.hive_process = Process()
    connection.hive_process.at = die
    with pytest.raises(DiedError):
        work(connection)
    assert (step, when) in seen
    client = own_redis.client()
    held = sum(client.hlen(key) for key in client.keys("{q}:hive:inflight:*"))
    ended = (step, when) in {("publish", "before"), ("finish", "after")}
    assert client.llen("q") + held == (0 if ended else 1)
