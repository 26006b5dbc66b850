"""A user's package brings an eleventh agent type and tasks for it; hive is not touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

HIVE = str(Path(sys.executable).with_name("hive"))

AGENTS = """
from hive import AgentType, Capability

SQL_TUNER = AgentType(name="sql_tuner", capabilities=(Capability(kind="tune", proficiency=0.9),))
"""

TASKS = """
from hive import shared_task

@shared_task(agent_type="sql_tuner")
def tune(query):
    return query.upper()
"""

ENTRY_POINTS = """
[hive.agent_types]
sql_tuner = sqltuner.agents:SQL_TUNER
[hive.tasks]
sqltuner = sqltuner.tasks
"""

CALLER = """
from hive.runtime.default_app import app
app.loader.import_default_modules()
result = app.tasks["sqltuner.tasks.tune"].delay("select 1")
print(result.get(timeout=60), flush=True)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A directory with the user's package as pip would leave it: modules and their metadata."""
    (tmp_path / "sqltuner").mkdir()
    (tmp_path / "sqltuner/__init__.py").touch()
    (tmp_path / "sqltuner/agents.py").write_text(AGENTS)
    (tmp_path / "sqltuner/tasks.py").write_text(TASKS)
    (tmp_path / "sqltuner-1.0.dist-info").mkdir()
    (tmp_path / "sqltuner-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: sqltuner\nVersion: 1.0\n")
    (tmp_path / "sqltuner-1.0.dist-info/entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path


def test_an_installed_package_adds_a_pool_and_its_tasks(package: Path, own_redis: RedisServer) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(package),
        "HIVE_BROKER_URL": own_redis.url,
        "HIVE_HOME": str(package / "home"),
    }
    with (package / "log").open("wb") as log:
        command = [HIVE, "worker", "sql_tuner"]
        worker = subprocess.Popen(command, cwd=package, env=environment, stdout=log, stderr=log)
    try:
        caller = subprocess.run(  # noqa: PLW1510 - what it printed is asserted
            [sys.executable, "-c", CALLER], cwd=package, env=environment, capture_output=True, text=True, timeout=200
        )
        assert caller.stdout.strip() == "SELECT 1", caller.stderr + (package / "log").read_text()
    finally:
        worker.terminate()
        eventually(lambda: worker.poll() is not None, timeout_s=60)
    assert worker.returncode == 0
