"""Every dead letter is an event on Celery's event stream, and past the bound a worker archives what the command shows."""

import json
import subprocess
import sys
from typing import Any

import pytest

from hive.database import SqliteArchive
from hive.runtime.home import Home
from tests.support.eventually import eventually
from tests.support.listening import listening
from tests.support.redis_server import RedisServer
from tests.support.workers import ROOT, WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

COUNT = 30
KEPT = 10


def test_arrivals_are_events_and_the_oldest_are_archived_and_brought_back(app: Any, own_redis: RedisServer) -> None:
    home = Home(own_redis.directory / "home")
    environment = {
        "HIVE_HOME": str(home.path), "HIVE_DEAD_WATCH_EVERY_S": "0.2", "HIVE_DEAD_MAX_COUNT": str(KEPT),
    }  # fmt: skip
    with (
        listening(app, "hive-dead-letter") as events,
        WorkerProcess(own_redis, environment=environment, options=("-E",)).ready(),
    ):
        for number in range(COUNT):
            own_redis.client().lpush("celery", f"no JSON {number}")
        eventually(lambda: len(events) == COUNT, what="an event for each letter")
        # They leave the broker once they are in the archive.
        eventually(lambda: own_redis.client().zcard("{celery}:hive:dead") == KEPT, what="the oldest leave")
        assert SqliteArchive(home.dead_letters).count("celery") == COUNT - KEPT
    assert {event["reason"] for event in events} == {"not_json"}
    assert len({event["letter"] for event in events}) == COUNT
    counters = json.loads(dead("stats", "--json", server=own_redis))["queues"][0]
    assert (counters["letters"], counters["archived_total"], counters["dead_total"]) == (KEPT, COUNT - KEPT, COUNT)
    assert counters["in_archive"] == COUNT - KEPT
    listed = json.loads(dead("list", "--archived", "--limit", "3", "--json", server=own_redis))
    assert len(listed) == 3
    assert json.loads(dead("show", listed[0]["id"], "--archived", "--json", server=own_redis))["id"] == listed[0]["id"]
    lines = dead("export", "--archived", server=own_redis)
    assert len(lines.splitlines()) == COUNT - KEPT
    assert json.loads(dead("import", "--json", server=own_redis, given=lines)) == [{"read": 20, "imported": 20}]
    assert len(json.loads(dead("list", "--json", server=own_redis))) == COUNT
    assert "say which" in dead("purge", server=own_redis, expect=2)
    assert json.loads(dead("purge", "--reason", "not_json", "--json", server=own_redis)) == [{"purged": COUNT}]


def dead(*arguments: str, server: RedisServer, given: str = "", expect: int = 0) -> str:
    command = [sys.executable, "-m", "hive", "dead", *arguments, "--app", "tests.support.delivery_app:app"]
    environ = {"DELIVERY_URL": server.url, "PATH": "", "HIVE_HOME": str(server.directory / "home")}
    done = subprocess.run(command, cwd=ROOT, env=environ, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stderr
    return done.stdout if expect == 0 else done.stderr
