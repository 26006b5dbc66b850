"""What is said of a server that answers, but not to us."""

import socket
import threading
from contextlib import suppress

import pytest

from hive import Hive
from hive.errors import BrokerRefusedError
from hive.runtime.connection import broker_facts
from hive.runtime.loading import ready_broker
from hive.store.connection import connect
from tests.support.redis_server import RedisServer


def test_a_password_that_was_not_given_is_asked_for(own_redis: RedisServer) -> None:
    connect(own_redis.url).config_set("requirepass", "secret")
    with pytest.raises(BrokerRefusedError, match="wants a password and was given none: write it into the address"):
        broker_facts(Hive("locked", broker=own_redis.url))


def test_what_speaks_another_protocol_is_no_redis() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    stranger, _ = listener.accept()
                    with stranger:
                        stranger.recv(4096)
                        stranger.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        with pytest.raises(BrokerRefusedError, match="is no Redis: correct"):
            broker_facts(Hive("astray", broker=url))
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def test_a_broker_that_is_no_redis_is_refused_before_anything_starts() -> None:
    with pytest.raises(BrokerRefusedError, match=r"memory://.* is no Redis or Valkey"):
        ready_broker(Hive("elsewhere", broker="memory://"))
