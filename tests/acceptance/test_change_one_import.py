"""A Celery application runs unchanged on hive: the same tests pass on celery.Celery and on hive.Hive."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest
from celery import chain, chord, group

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

HERE = Path(__file__).parent


@pytest.fixture(scope="module", params=["celery:Celery", "hive:Hive"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A private broker, a worker with beat, and the variables both were started with."""
    directory = tmp_path_factory.mktemp("shop")
    server = RedisServer().start()
    variables = {"SHOP_CLASS": request.param, "SHOP_BROKER": server.url, "SHOP_NOTES": str(directory / "notes")}
    (directory / "notes").touch()
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-B", "-s", str(directory / "beat"),
               "-c", "2", "-l", "warning", "-n", "shop@%h"]  # fmt: skip
    with (directory / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=HERE, env={**os.environ, **variables}, stdout=log, stderr=log)
    try:
        yield variables
    finally:
        worker.terminate()
        worker.wait(60)
        server.close()
        print((directory / "log").read_text())


@pytest.fixture
def shop(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The application's module, imported anew as the caller's side of it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    spec = util.spec_from_file_location("shop_client", HERE / "celery_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    # Results kept by an exception's frames speak to the broker when they go: let them go while it lives.
    gc.collect()
    module.app.close()


def notes(environment: dict[str, str]) -> list[str]:
    return Path(environment["SHOP_NOTES"]).read_text().splitlines()


def test_delay_and_chain(shop: ModuleType) -> None:
    assert shop.add.delay(2, 3).get(timeout=60) == 5
    assert chain(shop.add.s(1, 2), shop.add.s(10), shop.add.s(100))().get(timeout=60) == 113


def test_group_and_chord(shop: ModuleType) -> None:
    assert group(shop.add.s(i, i) for i in range(10))().get(timeout=60) == [2 * i for i in range(10)]
    assert chord([shop.add.s(i, 1) for i in range(10)])(shop.total.s()).get(timeout=60) == 55
    assert (group(shop.add.s(1, 1), shop.add.s(2, 2)) | shop.total.s() | shop.add.s(4)).delay().get(timeout=60) == 10


def test_retry(shop: ModuleType) -> None:
    assert shop.flaky.delay(2).get(timeout=60) == 2
    with pytest.raises(ConnectionError, match="not yet"):
        shop.flaky.delay(9).get(timeout=60)


def test_failure_and_errback(shop: ModuleType, environment: dict[str, str]) -> None:
    result = shop.broken.apply_async(link_error=shop.failed.s())
    with pytest.raises(ValueError, match="no"):
        result.get(timeout=60)
    assert result.state == "FAILURE"
    eventually(lambda: "failed no" in notes(environment))


def test_eta_and_countdown(shop: ModuleType) -> None:
    before = shop.app.now()
    result = shop.add.apply_async((1, 1), eta=before + timedelta(seconds=1))
    assert result.get(timeout=60) == 2
    assert shop.app.now() - before >= timedelta(seconds=1)
    assert shop.add.apply_async((1, 2), countdown=0.5).get(timeout=60) == 3


def test_beat(environment: dict[str, str]) -> None:
    eventually(lambda: notes(environment).count("tick beat") >= 3)


def test_inspect_and_revoke(shop: ModuleType) -> None:
    inspect = shop.app.control.inspect(timeout=30, limit=1)
    assert list(inspect.ping().values()) == [{"ok": "pong"}]
    assert "shop.add" in next(iter(inspect.registered().values()))
    result = shop.add.apply_async((1, 1), countdown=3600)
    eventually(
        lambda: result.id in str(shop.app.control.inspect(timeout=30, limit=1).scheduled()),
        what="seen as scheduled",
    )
    shop.app.control.revoke(result.id)
    eventually(lambda: result.id in str(shop.app.control.inspect(timeout=30, limit=1).revoked()))
