"""``hive schedule``: what operators type, on a real broker."""

import json
import sys
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from hive import Hive, load_settings
from hive.cli.main import cli
from hive.errors import InputError
from tests.support.redis_server import RedisServer


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
        (("add", "x", "shop.x", "--crontab", "61 * * * *"), "five fields are meant"),
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
