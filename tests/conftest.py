"""What every test gets: no settings of the caller's environment, a printed seed, a private broker on request."""

import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hive_home import HiveHome
from tests.support.redis_server import RedisServer

SEED = int(os.environ.get("HIVE_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)


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


@pytest.fixture
def hive_home(tmp_path: Path) -> Iterator[HiveHome]:
    """A home for the command ``hive``; what a test leaves running in it is an error."""
    home = HiveHome(tmp_path / "home")
    yield home
    home.close()
