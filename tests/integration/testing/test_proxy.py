from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hive.testing.proxy import FaultProxy
from tests.support.redis_server import RedisServer


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy("127.0.0.1", redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[redis.Redis]:
    with redis.Redis(port=proxy.port, socket_timeout=0.3, retry=Retry(NoBackoff(), 0)) as client:
        yield client


def test_a_pipeline_is_one_request_and_each_of_its_commands_is_named(proxy: FaultProxy, client: redis.Redis) -> None:
    client.ping()
    before, named = proxy.requests, proxy.commands["INCRBY"]
    pipeline = client.pipeline(transaction=False)
    for _ in range(20):
        pipeline.incr("proxy:count")
    pipeline.execute()
    assert proxy.requests - before == 1
    assert proxy.commands["INCRBY"] - named == 20


def test_a_cut_reply_belongs_to_a_command_that_ran(
    proxy: FaultProxy, client: redis.Redis, redis_server: RedisServer
) -> None:
    with redis_server.client() as direct:
        direct.set("proxy:cut", 1)
        cut = proxy.cut_reply("incrby")
        with pytest.raises(redis.ConnectionError):
            client.incr("proxy:cut")
        assert cut.is_set()
        assert direct.get("proxy:cut") == b"2"
        assert client.incr("proxy:cut") == 3


def test_a_black_hole_answers_nothing_and_delivers_when_healed(proxy: FaultProxy, client: redis.Redis) -> None:
    client.ping()
    proxy.black_hole()
    with pytest.raises(redis.TimeoutError):
        client.get("proxy:hole")
    proxy.heal()
    assert client.ping()


def test_reset_and_refuse_end_connections_and_heal_takes_new_ones(proxy: FaultProxy, client: redis.Redis) -> None:
    client.ping()
    assert proxy.reset() == 1
    assert client.ping()  # the pool saw the reset and connected again
    assert proxy.connections == 2
    proxy.refuse()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    proxy.heal()
    assert client.ping()


def test_latency_holds_every_reply(proxy: FaultProxy, client: redis.Redis) -> None:
    client.ping()
    proxy.latency_s = 0.5
    with pytest.raises(redis.TimeoutError):
        client.ping()
