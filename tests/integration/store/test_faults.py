"""What the store does when the broker is full, read-only, restarted, gone, or has forgotten the scripts."""

import pytest
import redis

from hive.errors import BrokerRefusedError, MessageTooLargeError
from hive.settings.parts import DeliverySettings
from hive.store import BatchPublishError, BrokerFullError, BrokerGoneError, Layout, Store, check_server, never_repeating
from hive.store.values import ClaimStatus, ConsumerInfo, Outcome, Outgoing, Start, StoredResult
from tests.support.redis_server import RedisServer

INFO = ConsumerInfo(node="celery@test", pid=1, version="0", started_ms=0)


def store_on(server: RedisServer, **settings: float) -> Store:
    client = server.client(retry=never_repeating(), socket_timeout=2)
    return Store(client, layout=Layout(), settings=DeliverySettings(**settings))


def message(id_: str, payload: bytes = b"{}") -> Outgoing:
    return Outgoing(queue="q", payload=payload, message_id=id_, dedup_id=id_)


def test_a_full_broker_refuses_new_messages_and_still_drains(own_redis: RedisServer) -> None:
    store = store_on(own_redis)
    store.register("c", ["q"], INFO)
    for number in range(5):
        store.publish(message(f"m{number}", b"x" * 1000))
    used_bytes = int(store.client.info("memory")["used_memory"])
    store.client.config_set("maxmemory", used_bytes // 2)

    with pytest.raises(BrokerFullError):
        store.publish(message("refused"))
    with pytest.raises(BrokerFullError):
        store.publish(Outgoing(queue="q", payload=b"{}", message_id="later", due_ms=1))
    with pytest.raises(BatchPublishError) as refused:
        store.publish_many([message("a"), message("b")])
    assert (refused.value.accepted, refused.value.unknown, refused.value.refused) == ([], [], [0, 1])

    assert store.renew("c", ["q"])[0].registered
    store.tick(["q"])
    claim = store.claim("c", ["q"], sequence=1, credit=10)
    assert len(claim.deliveries) == 5
    store.start("c", [Start(id=one.id, message_id="m") for one in claim.deliveries])
    first, second, *rest = (one.id for one in claim.deliveries)
    result = StoredResult(key="celery-task-meta-1", value=b"done", ttl_ms=1000)
    assert store.finish_with_result("c", first, result) is Outcome.DONE
    assert store.retry("c", second, message("again")) is Outcome.DONE
    assert set(store.finish("c", rest)) == {Outcome.DONE}

    store.client.config_set("maxmemory", 0)
    assert store.publish(message("refused"))


def test_a_batch_that_fails_half_way_says_which_went(own_redis: RedisServer) -> None:
    store = store_on(own_redis)
    batch = [message(f"m{number}", b"x" * 400_000) for number in range(12)]
    used_bytes = int(store.client.info("memory")["used_memory"])
    store.client.config_set("maxmemory", used_bytes + 2_500_000)
    with pytest.raises(BatchPublishError) as failed:
        store.publish_many(batch)
    ready = store.stats("q").ready[0]
    assert 0 < ready < 12
    assert failed.value.accepted == list(range(ready))
    assert failed.value.refused == list(range(ready, 12))

    store.client.config_set("maxmemory", 0)
    assert store.publish_many(batch) == (False,) * ready + (True,) * (12 - ready)
    assert store.stats("q").ready[0] == 12


def test_a_replica_is_an_error_of_the_connection(own_redis: RedisServer) -> None:
    store = store_on(own_redis)
    store.register("c", ["q"], INFO)
    store.client.replicaof("127.0.0.1", 1)
    with pytest.raises(BrokerGoneError) as gone:
        store.claim("c", ["q"], sequence=1, credit=1)
    assert isinstance(gone.value, redis.ConnectionError)
    with pytest.raises(BrokerGoneError):
        store.publish(message("m"))


def test_scripts_the_server_forgot_are_loaded_again(redis_server: RedisServer) -> None:
    store = store_on(redis_server)
    store.client.script_flush()
    assert store.publish(Outgoing(queue="forgotten", payload=b"{}", message_id="m"))
    assert store.pop(["forgotten"]) == (("forgotten", b"{}"),)


def test_a_broker_that_is_gone_is_said_once_and_nothing_is_repeated(own_redis: RedisServer) -> None:
    store = store_on(own_redis)
    own_redis.stop()
    with pytest.raises(BrokerGoneError, match="publish"):
        store.publish(message("m"))
    with pytest.raises(BrokerGoneError):
        store.stats("q")


@pytest.mark.slow
def test_a_restart_keeps_deliveries_counts_nothing_and_tokens_grow(own_redis: RedisServer) -> None:
    store = store_on(own_redis)
    store.client.config_set("appendfsync", "always")
    epoch = store.register("c", ["q"], INFO)[0].epoch
    store.publish(message("m1"))
    store.publish(message("m2"))
    (before,) = store.claim("c", ["q"], sequence=1, credit=1).deliveries
    store.start("c", [Start(id=before.id, message_id="m1")])
    own_redis.restart(kill=True)

    assert store.claim("c", ["q"], sequence=1, credit=1).deliveries == (before,)
    (after,) = store.claim("c", ["q"], sequence=2, credit=1).deliveries
    assert after.id.token > before.id.token + 3_000_000_000  # an hour ahead: no old number can come again
    assert store.tick(["q"])[0].forgiven
    assert store.renew("c", ["q"])[0].in_flight == 2
    assert store.finish("c", [before.id, after.id]) == (Outcome.DONE, Outcome.DONE)
    stats = store.stats("q")
    assert stats.epoch == epoch + 1
    assert "deaths" not in stats.counters


def test_a_broker_that_lost_everything_makes_consumers_register_anew(own_redis: RedisServer) -> None:
    store = store_on(own_redis)
    store.register("c", ["q"], INFO)
    store.client.flushall()  # our own server: what a broker without persistence does at a restart
    assert store.claim("c", ["q"], sequence=1, credit=1).status is ClaimStatus.UNREGISTERED
    assert not store.renew("c", ["q"])[0].registered


def test_unsafe_servers_clients_and_formats_are_refused(own_redis: RedisServer) -> None:
    with pytest.raises(BrokerRefusedError, match="NoBackoff"):
        Store(own_redis.client(), layout=Layout(), settings=DeliverySettings())
    store = store_on(own_redis)
    assert check_server(store.client).maxmemory_policy == "noeviction"
    store.client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(BrokerRefusedError, match="allkeys-lru"):
        check_server(store.client)
    store.client.execute_command("ACL", "SETUSER", "hosted", "on", ">pw", "~*", "+@all", "-config")
    hosted = own_redis.client(username="hosted", password="pw")
    assert check_server(hosted).maxmemory_policy is None

    store.register("c", ["q"], INFO)
    store.client.hset(store.queue_keys("q").key("state"), "format", 99)
    with pytest.raises(BrokerRefusedError, match="format 99"):
        store.register("d", ["q"], INFO)


def test_a_message_over_the_limit_is_refused_with_its_size(redis_server: RedisServer) -> None:
    store = store_on(redis_server, max_message_bytes=100)
    for send in (store.publish, lambda one: store.publish_many([one])):
        with pytest.raises(MessageTooLargeError, match="101 bytes"):
            send(Outgoing(queue="large", payload=b"x" * 101, message_id="m"))
    assert store.stats("large").ready[0] == 0
