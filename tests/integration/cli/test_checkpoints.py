"""``hive checkpoints``, as an operator types it."""

import base64
import json
import os
import sqlite3

from hive import Hive, load_settings
from hive.checkpoints import Kind
from tests.support.eventually import eventually
from tests.support.hive_home import HiveHome
from tests.support.listening import listening
from tests.support.redis_server import RedisServer


def test_damage_is_an_event(hive_home: HiveHome, redis_server: RedisServer) -> None:
    app = Hive("damaged", broker=redis_server.url, settings=load_settings(home=hive_home.path))
    app.checkpoints.write("reviewer-9", {"n": 1})
    with sqlite3.connect(hive_home.path / "checkpoints.sqlite") as connection:
        connection.execute("UPDATE checkpoint_heads SET fencing_token = 99")
    connection.close()
    with listening(app, "hive-checkpoint-damaged") as events:
        found = app.checkpoints.read("reviewer-9")
        assert found is not None
        assert (found.state, len(found.damaged)) == ({"n": 1}, 1)
        eventually(lambda: events, what="the event")
    assert (events[0]["agent"], events[0]["source"], events[0]["generation"]) == ("reviewer-9", "database", None)
    app.close()


def test_an_operator_sees_what_there_is_and_moves_it_to_a_key(hive_home: HiveHome, redis_server: RedisServer) -> None:
    settings = load_settings(home=hive_home.path)
    store = Hive("shop", broker=redis_server.url, settings=settings).checkpoints
    store.write("reviewer-7", {"n": 1}, kind=Kind.PRE_SLEEP, label="before\x1b[2J")
    store.write("reviewer-7", {"n": 2}, fencing_token=5)
    store.write("other", b"\x00\xff")
    variables = {"HIVE_BROKER_URL": redis_server.url, "HIVE_APP": ""}

    def ran(*words: str, code: int = 0, **more: str) -> str:
        done = hive_home.run("checkpoints", *words, **variables, **more)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    first, second = json.loads(ran("list", "--json"))
    assert [(one["agent"], len(one["checkpoints"])) for one in (first, second)] == [("other", 1), ("reviewer-7", 1)]
    table = ran("list", "reviewer-7")
    assert "pre-sleep" in table
    assert "\x1b" not in table
    nobody = hive_home.run("checkpoints", "list", "nobody", **variables)
    assert (nobody.returncode, "no checkpoint of agent 'nobody'" in nobody.stderr) == (0, True)
    shown = json.loads(ran("show", "reviewer-7", "--json"))
    assert (shown["state"], shown["is_newest"], shown["fencing_token"]) == ({"n": 2}, True, 5)
    assert "no generation 9 of agent 'other'" in ran("show", "other", "--generation", "9", code=2)
    key = f"first:{base64.b64encode(os.urandom(32)).decode()}"
    assert json.loads(ran("reencrypt", "--json", HIVE_CHECKPOINTS_KEYS=key)) == {"reencrypted": 3}
    assert "encrypted with key 'first'" in ran("show", "reviewer-7", code=1)
    assert json.loads(ran("prune", "--json")) == {"removed": 0}
