"""`hive worker TYPE --pool asyncio --processes N`: several event loops on one machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hive import Hive
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ROOT = Path(__file__).parents[3]


def test_processes_are_workers_of_their_own_and_one_that_dies_comes_back(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    app = Hive("caller", broker=own_redis.url, backend=own_redis.url, set_as_current=False)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1", "HIVE_BROKER_URL": own_redis.url}
    environment |= {"HIVE_HOME": str(tmp_path), "HIVE_WORKER_GRACE_S": "2"}
    command = [sys.executable, "-c", "from hive.cli.main import main; main()", "worker", "domain_expert"]
    command += ["--pool", "asyncio", "--processes", "2"]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)

    def pools() -> dict[str, dict]:
        found = app.control.inspect(timeout=2, limit=2).stats() or {}
        return {name.split("@")[0]: stats for name, stats in found.items()}

    try:
        both = eventually(lambda: found if len(found := pools()) == 2 else None, what="two workers")
        assert set(both) == {"domain_expert-1", "domain_expert-2"}
        assert {stats["pool"]["implementation"] for stats in both.values()} == {"hive.pools.pool:AsyncioPool"}
        victim = both["domain_expert-1"]["pid"]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: pools().get("domain_expert-1", {"pid": victim})["pid"] != victim, what="its successor")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert pools() == {}
