"""An agent's newest checkpoint on the broker: an older one never takes its place, and it ends by itself."""

import uuid

import pytest

from hive.store.checkpoints import KeptHead
from hive.store.faults import BrokerFullError
from hive.store.store import Store
from tests.support.checkpoint_sides import broker_store
from tests.support.redis_server import RedisServer


@pytest.fixture
def store(redis_server: RedisServer) -> Store:
    return broker_store(redis_server.url, f"{uuid.uuid4().hex}:")


def head(generation: int, *, forgotten: bool = False) -> KeptHead:
    return KeptHead(
        agent="ä {x}".encode(),
        generation=b"%d" % generation,
        fencing_token=b"9007199254740993",
        is_forgotten=b"%d" % forgotten,
        seal=b"seal",
    )


def test_an_older_checkpoint_never_takes_the_place_of_a_newer_one(store: Store) -> None:
    assert (store.checkpoint_head("ä {x}"), store.checkpoint("ä {x}")) == (None, (None, None))
    assert store.keep_checkpoint(head(9), b"nine\x00\xff", head_s=60, record_s=60)
    assert store.keep_checkpoint(head(10), b"ten", head_s=60, record_s=60)
    assert not store.keep_checkpoint(head(9), b"nine", head_s=60, record_s=60)
    assert store.checkpoint("ä {x}") == (head(10), b"ten")
    # The same one may come again, as it is read from the database or was encrypted anew.
    assert store.keep_checkpoint(head(10), b"ten again", head_s=60, record_s=60)
    assert store.checkpoint("ä {x}") == (head(10), b"ten again")
    assert store.checkpoint("other") == (None, None)


def test_a_forgotten_one_leaves_its_head_and_both_end_by_themselves(store: Store) -> None:
    store.keep_checkpoint(head(1), b"one", head_s=60, record_s=30)
    keys = store._checkpoint_keys("ä {x}".encode())
    left_ms = [store.client.pttl(key) for key in keys]
    assert 50_000 < left_ms[0] <= 60_000
    assert 20_000 < left_ms[1] <= 30_000
    store.keep_checkpoint(head(2, forgotten=True), b"", head_s=60, record_s=30)
    assert store.checkpoint("ä {x}") == (head(2, forgotten=True), None)
    assert not store.keep_checkpoint(head(1), b"one", head_s=60, record_s=30)
    store.drop_checkpoint("ä {x}")
    store.drop_checkpoint("ä {x}")
    assert store.checkpoint("ä {x}") == (None, None)


def test_what_damage_made_of_a_generation_does_not_stop_a_checkpoint(store: Store) -> None:
    store.keep_checkpoint(head(5), b"five", head_s=60, record_s=60)
    store.client.hset(store._checkpoint_keys("ä {x}".encode())[0], "generation", b"\xffx")
    assert store.keep_checkpoint(head(6), b"six", head_s=60, record_s=60)
    assert store.checkpoint("ä {x}") == (head(6), b"six")


def test_a_full_broker_keeps_what_it_has(own_redis: RedisServer) -> None:
    store = broker_store(own_redis.url, "p:")
    store.keep_checkpoint(head(1), b"one", head_s=60, record_s=60)
    own_redis.client().config_set("maxmemory", "1")
    with pytest.raises(BrokerFullError):
        store.keep_checkpoint(head(2), b"two", head_s=60, record_s=60)
    assert store.checkpoint("ä {x}") == (head(1), b"one")


def test_what_was_sent_is_taken_or_goes(store: Store) -> None:
    store.keep_checkpoint(head(10), b"ten", head_s=60, record_s=60)
    store.keep_checkpoint(head(9), b"nine", head_s=60, record_s=60)
    assert sorted(key.rpartition(b":")[2] for key in keys(store)) == [b"head", b"record"]

    # Its sender stood still for longer than it stays: the broker goes on with what it has.
    store.at = lambda name, when: store.client.unlink(*staged(store)) if when == "before" else None
    assert not store.keep_checkpoint(head(11), b"eleven", head_s=60, record_s=60)
    assert store.checkpoint("ä {x}") == (head(10), b"ten")

    # And a sender that dies leaves it for a minute at most.
    store.at = stopped
    with pytest.raises(KeyboardInterrupt):
        store.keep_checkpoint(head(11), b"eleven", head_s=60, record_s=60)
    [left] = staged(store)
    assert 0 < store.client.pttl(left) <= 60_000


def stopped(name: str, when: str) -> None:
    raise KeyboardInterrupt


def keys(store: Store) -> list[bytes]:
    return list(store.client.scan_iter(f"{store.layout.prefix}*"))


def staged(store: Store) -> list[bytes]:
    return [key for key in keys(store) if b":staged:" in key]
