"""How many slots `hive worker TYPE` has."""

from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.hive_home import HiveHome
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.acceptance


@pytest.mark.parametrize(("options", "slots"), [((), 37), (("--concurrency", "2"), 2)], ids=["configured", "asked"])
def test_what_the_application_configures_wins_over_the_types_range(
    hive_home: HiveHome, redis_server: RedisServer, tmp_path: Path, options: tuple[str, ...], slots: int
) -> None:
    application = f"from hive import Hive\napp = Hive('many', broker={redis_server.url!r})\n"
    (tmp_path / "many.py").write_text(f"{application}app.conf.worker_concurrency = 37\n")
    log = tmp_path / "worker.log"
    command = ("hive", "worker", "documentation_writer", "-A", "many:app", "--pool", "asyncio", *options)
    hive_home.start(*command, cwd=tmp_path, log=log)
    eventually(lambda: "ready." in log.read_text(), what="the worker is ready")
    assert f"concurrency: {slots} " in log.read_text()
