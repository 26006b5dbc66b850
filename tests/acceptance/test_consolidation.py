"""The jobs of consolidation as tasks of a real worker, and its commands."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hive.checkpoints.store import CheckpointStore
from hive.consolidation.report import Job
from hive.database import ArchivedLetter, open_archive
from hive.database.contexts import Context, ContextKind
from hive.database.sqlite_checkpoints import SqliteCheckpoints
from hive.memory.memory import Memory
from hive.memory.opening import open_memories
from hive.runtime.app import Hive
from hive.runtime.defaults import CONSOLIDATION_QUEUES, upkeep_entries
from hive.runtime.home import Home
from hive.store.cleanup import clean
from hive.testing.clock import ManualClock
from tests.support.redis_server import RedisServer
from tests.support.workers import ROOT, WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

HIVE = str(Path(sys.executable).with_name("hive"))


@pytest.fixture
def environment(tmp_path: Path, redis_server: RedisServer) -> dict[str, str]:
    return {
        "HIVE_HOME": str(tmp_path),
        "HIVE_MEMORY_COMPACT_AFTER_S": "0",
        "DELIVERY_URL": redis_server.url,
        "HIVE_APP": "tests.support.memory_app:app",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory("ada", open_memories(None, tmp_path / "memories.sqlite"))


def fill(memory: Memory) -> None:
    memory.append_all(
        [
            Context(kind=ContextKind.MESSAGE, author="user", text="I am Ada and live in Lisbon.", source="talk"),
            Context(kind=ContextKind.CALL, author="get_user", text='{"name": "Ada"}', source="talk"),
            Context(kind=ContextKind.RESULT, author="get_user", text='{"user_id": "u1", "vip": true}', source="talk"),
        ]
    )


@pytest.fixture
def worker(redis_server: RedisServer, environment: dict[str, str]) -> Iterator[WorkerProcess]:
    queues = ",".join(CONSOLIDATION_QUEUES)
    with WorkerProcess(
        redis_server, options=("-Q", queues), environment=environment, app="tests.support.memory_app"
    ) as process:
        yield process.ready()


def test_each_job_is_a_task_on_its_own_queue(
    redis_server: RedisServer, worker: WorkerProcess, memory: Memory, tmp_path: Path
) -> None:
    fill(memory)
    checkpoints = CheckpointStore(SqliteCheckpoints(Home(tmp_path).checkpoints), clock=ManualClock(wall_ms=1))
    for number in range(5):
        checkpoints.write("ada", {"years ago": number})
    app = Hive("caller", broker=redis_server.url, backend=redis_server.url)
    sent = [
        app.send_task(f"hive.consolidation.{job.value}", ("ada",), queue=f"consolidation.{job.value}") for job in Job
    ]
    reports = [result.get(timeout=60) for result in sent]
    assert [report["job"] for report in reports] == [job.value for job in Job]
    assert {report["state"] for report in reports} == {"done"}
    assert reports[0]["dropped"] == {"rewritten": 3}
    # But for the newest three.
    assert reports[-1]["findings"]["checkpoints_removed"] == 2
    assert [one.generation for one in checkpoints.list("ada").checkpoints] == [5, 4, 3]
    assert [one.kind for one in memory.contexts()] == [ContextKind.RECORD, ContextKind.SUMMARY]
    app.close()


def test_upkeep_is_done_for_all_agents_as_beat_asks_for_it(
    redis_server: RedisServer, worker: WorkerProcess, memory: Memory, environment: dict[str, str]
) -> None:
    fill(memory)
    archive = open_archive(None, Home(Path(environment["HIVE_HOME"])).dead_letters)
    archive.add([ArchivedLetter(queue="q", id="1-1", at_ms=1, priority=0, record=b"{}", payload=b"")])
    app = Hive("caller", broker=redis_server.url, backend=redis_server.url)
    sent = [app.send_task(entry["task"], **entry["options"]) for entry in upkeep_entries().values()]
    reports = [result.get(timeout=60) for result in sent]
    assert {(report["agent"], report["state"]) for report in reports} == {("", "done")}
    audited = next(report for report in reports if report["job"] == Job.PERFORMANCE_AUDIT)
    assert audited["findings"]["agents_audited"] == 1
    assert archive.count() == 0
    kept = hive(environment, "consolidate", "--all", "--runs")
    assert {report["run"] for report in reports} == {report["run"] for report in kept}
    app.close()


def hive(environment: dict[str, str], *arguments: str) -> Any:
    done = subprocess.run(
        [HIVE, *arguments, "--json"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_commands_search_consolidate_and_undo(environment: dict[str, str], memory: Memory) -> None:
    fill(memory)
    before = memory.contexts()
    [dry] = hive(environment, "consolidate", "ada", "--dry-run")
    assert dry["state"] == "dry"
    assert memory.contexts() == before
    reports = hive(environment, "consolidate", "ada")
    assert not Home(Path(environment["HIVE_HOME"])).checkpoints.exists()
    assert [report["job"] for report in reports] == [job.value for job in Job]
    found = hive(environment, "memory", "search", "ada", "which user_id", "--limit", "1")
    assert found[0]["text"] == "get_user name=Ada: user_id=u1; vip=true"
    assert memory.contexts(ids=[found[0]["id"]])[0].used_count == found[0]["used_count"], "an operator only looked"
    assert hive(environment, "memory", "show", "ada", "1")["archived"]["reason"] == "rewritten"
    run = reports[0]["run"]
    assert run in {report["run"] for report in hive(environment, "consolidate", "ada", "--runs")}
    assert hive(environment, "consolidate", "ada", "--undo", run) == {"run": run, "contexts_back": 3}
    assert memory.contexts() == before


def test_results_and_replies_without_an_end_are_removed_once_nobody_touches_them(own_redis: RedisServer) -> None:
    client = own_redis.client()
    client.set("x[1]celery-task-meta-1", "left behind")
    client.set("x[1]celery-task-meta-2", "ends by itself", ex=1000)
    client.set("celery-task-meta-3", "another application's")
    client.rpush("x[1]abc.reply.celery.pidbox", "never read")
    assert clean(client, "x[1]", lambda: False, results_idle_s=1000, replies_idle_s=1000) == {
        "results_removed": 0,
        "replies_removed": 0,
    }
    assert clean(client, "x[1]", lambda: True, results_idle_s=0, replies_idle_s=0)["results_removed"] == 0
    assert clean(client, "x[1]", lambda: False, results_idle_s=0, replies_idle_s=0) == {
        "results_removed": 1,
        "replies_removed": 1,
    }
    assert sorted(client.keys()) == [b"celery-task-meta-3", b"x[1]celery-task-meta-2"]
