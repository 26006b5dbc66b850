"""Flower, unmodified, beside a hive: who is online, how every task of a review ended, how long the queues are."""

import json
import signal
import urllib.error

import psutil
import pytest

from hive import load_settings
from hive.agents import load_registry
from hive.runtime.broker import EmbeddedBroker
from hive.store.connection import connect
from tests.support.eventually import eventually
from tests.support.flower import FlowerClient
from tests.support.hive_home import ROOT, HiveHome
from tests.support.redis_server import free_port

pytestmark = pytest.mark.acceptance

FINAL = {"SUCCESS", "FAILURE", "REVOKED"}


def test_flower_shows_what_is_true(hive_home: HiveHome) -> None:
    port = free_port()
    hive_home.environ |= {"HIVE_APP": "hive.runtime.default_app:app", "HIVE_FLEET_FLOWER_PORT": str(port)}
    log = hive_home.path.with_name("flower.log")
    hive_home.start("hive", "flower", log=log, FLOWER_UNAUTHENTICATED_API="true")
    password = eventually(lambda: (kept := hive_home.path / "flower.password").exists() and kept.read_text())
    flower = FlowerClient(port, "hive", password)
    up = hive_home.run("up", "--detach")
    assert up.returncode == 0, up.stderr

    names = set(load_registry())
    online = eventually(lambda: len(found := flower.online()) == len(names) and found, 60, what="ten workers online")
    assert {node.partition("@")[0] for node in online} == names
    with pytest.raises(urllib.error.HTTPError, match="401"):
        flower.get("/api/workers", login=False)

    report = hive_home.path / "report"
    review = hive_home.run("review", str(ROOT / "tests" / "fixtures" / "code_reviewer"), "--output", str(report))
    assert review.returncode == 0, review.stderr
    assert json.loads((report / "report.json").read_text())
    tasks = eventually(
        lambda: (
            (seen := flower.get("/api/tasks?limit=10000")) and all(t["state"] in FINAL for t in seen.values()) and seen
        ),
        what="every task in its final state",
    )
    assert {task["state"] for task in tasks.values()} == {"SUCCESS"}
    assert {task["worker"].partition("@")[0] for task in tasks.values()} == names

    supervisor = hive_home.report()
    assert supervisor is not None
    assert not supervisor.owns_broker
    psutil.Process(supervisor.process_id).send_signal(signal.SIGTERM)
    eventually(lambda: hive_home.report() is None, 60, what="the pools have stopped")
    client = connect(EmbeddedBroker(load_settings(home=hive_home.path)).url)
    for count, name in enumerate(sorted(names), start=1):
        client.lpush(f"agent.{name}", *(b"{}" for _ in range(count)))
    lengths = {queue["name"]: queue["messages"] for queue in flower.get("/api/queues/length")["active_queues"]}
    assert lengths == {name: client.llen(name) for name in lengths}
    assert {f"agent.{name}": count for count, name in enumerate(sorted(names), start=1)}.items() <= lengths.items()
