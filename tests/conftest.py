"""What every test gets: no settings of the caller's environment, a printed seed, a private broker on request."""

import logging
import os
import random
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import _state

from tests.support.checkpoint_sides import Sides
from tests.support.hive_home import HiveHome
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer

SEED = int(os.environ.get("HIVE_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)


def pytest_configure() -> None:
    """A run in the background of a shell ignores Ctrl-C, and so would every command that a test starts and interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return f"HIVE_TEST_SEED={SEED}"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HIVE_") and name not in {"HIVE_DATA_DIR", "HIVE_TEST_SEED"}:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """Celery sets the level of all logging for a worker inside a test, and would leave it to the tests that follow."""
    level = logging.root.level
    yield
    logging.root.setLevel(level)


@pytest.fixture(autouse=True, scope="module")
def _current_app_of_module() -> Iterator[None]:
    """An application that a module's fixture makes does not stay Celery's current one after it; see below."""
    before = _state._tls.current_app
    yield
    _state._set_current_app(before)


@pytest.fixture(autouse=True)
def _current_app() -> Iterator[None]:
    """An application that a test makes is Celery's current one, and tasks that are shared would be looked for there."""
    before = _state._tls.current_app
    yield
    _state._set_current_app(before)


@pytest.fixture
def rng() -> random.Random:
    """A random source with the printed seed."""
    return random.Random(SEED)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One private broker for the tests of this process; each test uses its own key prefix or queue names."""
    server = RedisServer().start()
    yield server
    server.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A broker of the test's own, to restart, kill and fill."""
    server = RedisServer().start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One private PostgreSQL for the tests of this process; each test makes a database of its own."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def sides(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> Sides:
    """Both sides of a checkpoint store: each kind of database, and the broker."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database(f"db{uuid.uuid4().hex}")
    else:
        url = f"sqlite:///{tmp_path / 'home' / 'checkpoints.sqlite'}"
    return Sides.fresh(url, redis_server.url)


@pytest.fixture
def hive_home(tmp_path: Path) -> Iterator[HiveHome]:
    """A home for the command ``hive``; what a test leaves running in it is an error."""
    home = HiveHome(tmp_path / "home")
    yield home
    home.close()
