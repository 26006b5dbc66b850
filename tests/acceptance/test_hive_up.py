"""`hive up`, `hive status`, `hive down`: what ends comes back, and nothing is left behind."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from hive import load_settings
from hive.agents import BUILTIN
from hive.runtime.broker import EmbeddedBroker
from hive.runtime.supervision.state import HiveReport, PartState
from hive.store.connection import connect
from tests.support.eventually import eventually
from tests.support.hive_home import HiveHome
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.acceptance


@pytest.fixture
def running(hive_home: HiveHome) -> HiveHome:
    """A small hive in the background."""
    started = hive_home.run("up", "--detach")
    assert started.returncode == 0, started.stderr
    return hive_home


def pool_of(report: HiveReport | None, name: str = "code_reviewer") -> int | None:
    pool = report and report.pool(name)
    return pool.process_id if pool and pool.state is PartState.READY else None


def test_from_up_to_down(running: HiveHome) -> None:
    seen = eventually(lambda: (now := running.status()) and all(p["workers"] for p in now["pools"]) and now)
    assert seen["broker"]["answers"]
    assert seen["broker"]["embedded"]
    assert {pool["agent_type"]: pool["slots"] for pool in seen["pools"]} == {"code_reviewer": 1, "general_developer": 1}
    assert {part["name"]: part["state"] for part in seen["supervisor"]["parts"]} == {
        "code_reviewer": "ready",
        "general_developer": "ready",
        "beat": "ready",
    }
    again = running.run("up")
    assert again.returncode == 1
    assert "hive down" in again.stderr
    assert "Traceback" not in again.stderr
    assert eventually(
        lambda: json.loads(running.run("schedule", "list", "--json").stdout)["leader"], what="a beat leads"
    )

    down = running.run("down")
    assert down.returncode == 0
    assert "supervisor" in down.stdout
    assert running.processes() == []
    assert running.run("down").stdout == "hive: nothing was running\n"
    status = running.run("status")
    assert status.returncode == 1
    assert "hive up" in status.stderr
    assert " 0 " not in status.stdout, "nobody knows what waits on a broker that does not run"


def test_what_is_killed_comes_back(running: HiveHome) -> None:
    before = running.until_ready()
    pool, beat = before.pool("code_reviewer"), before.parts[-1]
    assert pool is not None
    children = psutil.Process(pool.process_id).children()
    broker = EmbeddedBroker(load_settings(home=running.path))
    connect(broker.url).lpush("kept", "message")
    killed = {"pool": pool.process_id or 0, "beat": beat.process_id or 0, "broker": broker.process_id or 0}
    for process_id in killed.values():
        os.kill(process_id, signal.SIGKILL)
    eventually(lambda: pool_of(running.report()) not in {None, killed["pool"]}, what="the pool is back")
    after = running.until_ready()
    ended = {part.name: (part.restarts, part.last_end) for part in after.parts}
    assert ended == {
        "code_reviewer": (1, "signal SIGKILL"),
        "beat": (1, "signal SIGKILL"),
        "general_developer": (0, ""),
    }
    eventually(lambda: not any(child.is_running() for child in children), what="its children ended with it")
    assert broker.facts().process_id != killed["broker"]
    eventually(
        lambda: (now := running.report()) and now.broker_restarts == 1 and not now.broker_lost, what="it is said"
    )
    log = (running.home.logs / "supervisor.log").read_text()
    assert log.index("ended unasked, starts again") < log.index("is back")
    assert connect(broker.url).llen("kept") == 1
    eventually(lambda: all(found["workers"] for found in running.status()["pools"]), what="all workers answer")


def test_a_killed_supervisor_leaves_no_pool_behind(running: HiveHome) -> None:
    report = running.until_ready()
    broker = EmbeddedBroker(load_settings(home=running.path)).process_id
    os.kill(report.process_id, signal.SIGKILL)
    eventually(lambda: [process.pid for process in running.processes()] == [broker], what="only the broker is left")
    again = running.run("up", "--detach")
    assert again.returncode == 0, again.stderr
    joined = running.until_ready()
    assert joined.process_id != report.process_id
    assert not joined.owns_broker
    assert "broker" in running.run("down").stdout
    assert running.processes() == []


def test_down_ends_a_hive_that_has_just_been_launched(hive_home: HiveHome, tmp_path: Path) -> None:
    go = tmp_path / "go"
    starts = hive_home.start("hive", "up", "--detach", HIVE_APP="tests.support.slow_hive:app", SLOW_HIVE_GO=str(go))
    launched = eventually(
        lambda: next(
            (one for one in hive_home.processes() if "hive.runtime.supervision.headless" in one.cmdline()), None
        )
    )
    down = hive_home.start("hive", "down")
    with pytest.raises(subprocess.TimeoutExpired):
        down.wait(3)
    go.touch()
    output, _ = down.communicate(timeout=200)
    assert f"ended supervisor (process {launched.pid})" in output
    output, _ = starts.communicate(timeout=200)
    assert starts.returncode == 1
    assert output.splitlines()[-1].startswith("hive: the hive was stopped while it started")
    assert hive_home.processes() == []


def test_a_signal_stops_the_foreground_cleanly(hive_home: HiveHome) -> None:
    process = hive_home.start("hive", "up", "--no-beat")
    hive_home.until_ready()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "code_reviewer ready" in output
    assert "code_reviewer stopped" in output
    assert output.splitlines()[-1].startswith("hive: stopped; all pools and the broker have ended")
    assert "Traceback" not in output
    assert hive_home.processes() == []


def test_a_pool_that_never_serves_is_said_and_nothing_is_left(hive_home: HiveHome) -> None:
    ended = hive_home.run("up", "--detach", HIVE_APP="tests.support.broken_hive:app", HIVE_FLEET_RESTART_MAX_S="0.5")
    assert ended.returncode == 1
    assert "the pool general_developer does not start (exit code 7)" in ended.stderr
    assert str(hive_home.home.logs / "general_developer.log") in ended.stderr
    assert hive_home.processes() == []


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "sentence"),
    [
        (("worker", "code_reviewr"), {}, 2, "did you mean 'code_reviewer'"),
        (("beat",), {"HIVE_BROKER_URL": "redis://127.0.0.1:1/0"}, 1, "no broker answers"),
        (("flower",), {"HIVE_FLEET_FLOWER_PORT": "TAKEN"}, 1, "Flower cannot listen on port"),
        (("up", "--flower"), {"HIVE_FLEET_FLOWER_PORT": "TAKEN"}, 1, "Flower cannot listen on port"),
        (("up", "--flower", "-d"), {"HIVE_FLEET_FLOWER_PORT": "TAKEN"}, 1, "Flower cannot listen on port"),
        (("up",), {"HIVE_BROKER_URL": "redis://127.0.0.1:1/0"}, 1, "no broker answers"),
        (("up", "--detach"), {"HIVE_HOME": "/proc/1/hive"}, 1, "HIVE_HOME to another"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    hive_home: HiveHome, arguments: tuple[str, ...], environ: dict[str, str], code: int, sentence: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = hive_home.run(*arguments, **{name: value.replace("TAKEN", port) for name, value in environ.items()})
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
    assert ended.returncode == code
    assert hive_home.processes() == []


def test_queue_names_are_whole_in_eighty_columns(hive_home: HiveHome, redis_server: RedisServer) -> None:
    variables = {"HIVE_BROKER_URL": redis_server.url, "HIVE_APP": "hive.runtime.default_app:app", "COLUMNS": "80"}
    listed = hive_home.run("queue", "list", **variables)
    assert listed.returncode == 0, listed.stderr
    names = {line.split()[0] for line in listed.stdout.splitlines()}
    assert {agent.queue for agent in BUILTIN} <= names
    assert "workers" in listed.stdout
    assert max(len(line) for line in listed.stdout.splitlines()) <= 80
