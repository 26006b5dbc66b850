"""``hive schedule``: what operators type, on a real broker."""

import json
import shutil
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from hive import Hive, load_settings
from hive.cli.main import cli
from hive.errors import InputError
from hive.runtime.beat.scheduler import HiveScheduler
from hive.runtime.default_app import build
from tests.support.redis_server import RedisServer
from tests.support.workers import ROOT


@pytest.fixture
def app(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Hive:
    broker = {"url": redis_server.url, "key_prefix": f"schedule{uuid.uuid4().hex[:8]}-"}
    app = Hive("shop", settings=load_settings(broker=broker), set_as_current=False)
    monkeypatch.setitem(sys.modules, "schedule_app", SimpleNamespace(app=app))
    monkeypatch.setenv("HIVE_APP", "schedule_app:app")
    return app


@pytest.fixture
def hive(app: Hive) -> Any:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["schedule", *arguments], env={"COLUMNS": "160"})
        if isinstance(result.exception, InputError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def test_an_entry_is_added_shown_changed_run_and_removed(hive: Any, app: Hive, redis_server: RedisServer) -> None:
    zone = ("--zone", "Europe/Berlin", "--catch-up", "all")
    added = json.loads(hive("add", "tidy", "shop.tidy", "--crontab", "30 6 * * *", *zone, "--queue", "q", "--json"))
    assert (added["schedule"], added["zone"], added["catch_up"]) == ("30 6 * * *", "Europe/Berlin", "all")
    assert added["next_at"][11:16] == "06:30"
    assert "from now on" in hive("add", "poll", "shop.poll", "--every-s", "10", "--kwargs", '{"deep": true}')
    listed = json.loads(hive("list", "--json"))
    assert listed["leader"] is None
    assert [entry["name"] for entry in listed["entries"]] == ["poll", "tidy"]
    assert json.loads(hive("pause", "tidy", "--json"))["is_paused"]
    assert "paused" in hive("list")
    assert not json.loads(hive("resume", "tidy", "--json"))["is_paused"]
    task_id = json.loads(hive("run", "tidy", "--json"))["task_id"]
    with redis_server.client() as client:
        (raw,) = client.lrange(f"{app.settings.broker.key_prefix}q", 0, -1)
    assert json.loads(raw)["headers"]["id"] == task_id
    assert json.loads(hive("remove", "tidy", "--json")) == {"name": "tidy", "is_removed": True}
    assert "tidy" not in hive("list")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("add", "x", "shop.x"), "say when"),
        (("add", "x", "shop.x", "--every-s", "1", "--crontab", "* * * * *"), "say when"),
        (("add", "x", "shop.x", "--crontab", "61 * * * *"), "cannot be read: Invalid end range"),
        (("add", "x", "shop.x", "--crontab", "* * *"), "five fields are meant, such as .*, not 3"),
        (("add", " ", "shop.x", "--every-s", "1"), "needs a name"),
        (("add", "x", "shop.x", "--every-s", "1", "--args", "{}"), "a JSON list is meant"),
        (("add", "x", "shop.x", "--every-s", "1", "--args", "["), "no JSON"),
        (("add", "x", "shop.x", "--every-s", "1", "--zone", "Mars/Olympus"), "no time zone"),
        (("add", "x", "shop.x", "--solar", "noon:1"), "EVENT:LATITUDE:LONGITUDE"),
        (("pause", "x"), "there is no entry 'x'"),
        (("remove", "x"), "there is no entry 'x'"),
        (("run", "x"), "there is no entry 'x'"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(hive: Any, arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(InputError, match=text):
        hive(*arguments)


def test_a_call_that_its_task_would_refuse_is_refused_and_a_task_of_others_is_named(
    hive: Any, app: Hive, redis_server: RedisServer
) -> None:
    @app.task(name="shop.sweep", shared=False)
    def sweep(depth): ...

    with pytest.raises(InputError, match=r"entry 'x' cannot be sent: sweep\(\) missing 1 required"):
        hive("add", "x", "shop.sweep", "--every-s", "1")
    assert json.loads(hive("list", "--json"))["entries"] == []
    assert "from now on" in hive("add", "x", "shop.sweep", "--every-s", "1", "--kwargs", '{"depth": 1}')
    typed = CliRunner().invoke(cli, ["schedule", "add", "y", "shop.swep", "--every-s", "1", "--json"])
    assert json.loads(typed.stdout)["task"] == "shop.swep"
    assert "no task 'shop.swep': it is sent for workers that do; did you mean 'shop.sweep'?" in typed.stderr


def test_an_advance_that_is_refused_leaves_the_mode_and_keeps_nobody_from_the_emergency_stop(hive: Any) -> None:
    assert json.loads(hive("rest", "--advance", "--json"))["flag"]["stage"] == 1
    with pytest.raises(InputError, match="the flag stays at 1 %"):
        hive("rest", "--mode", "live", "--advance", "--stop")
    shown = json.loads(hive("rest", "--json"))
    assert (shown["mode"], shown["flag"]["stage"], shown["stopped"]) == ("shadow", 1, True)
    with pytest.raises(InputError, match="--anyway says how to --advance"):
        hive("rest", "--anyway")


@pytest.mark.parametrize("is_configured", [True, False])
def test_upkeep_is_in_the_schedule_of_the_default_application(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_configured: bool
) -> None:
    if is_configured:
        shutil.copy(ROOT / "celeryconfig.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "celeryconfig", raising=False)
    monkeypatch.setenv("HIVE_BROKER_URL", redis_server.url)
    monkeypatch.setenv("HIVE_BROKER_KEY_PREFIX", f"upkeep{uuid.uuid4().hex[:8]}-")
    monkeypatch.setenv("HIVE_APP", "upkeep_app:app")
    app = build()
    monkeypatch.setitem(sys.modules, "upkeep_app", SimpleNamespace(app=app))
    beat = HiveScheduler(app)
    beat.tick()
    beat.close()
    done = CliRunner().invoke(cli, ["schedule", "list", "--json"])
    monkeypatch.delitem(sys.modules, "celeryconfig", raising=False)
    entries = {entry["name"]: entry["task"] for entry in json.loads(done.stdout)["entries"]}
    assert (
        entries.items()
        >= {
            "broker cleanup": "hive.consolidation.broker_cleanup",
            "database maintenance": "hive.consolidation.database_maintenance",
            "performance audit": "hive.consolidation.performance_audit",
        }.items()
    )
    assert ("keep agents" in entries) == is_configured
