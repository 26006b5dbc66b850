"""Pools that follow demand, with real workers: what grows, what shrinks, and that nothing that runs is lost by it."""

import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from hive import Hive
from hive.store.store import Store
from tests.support.eventually import eventually
from tests.support.hive_home import HiveHome
from tests.support.listening import listening
from tests.support.redis_server import RedisServer, free_port

pytestmark = pytest.mark.acceptance

TYPE, QUEUE, APP = "code_reviewer", "agent.code_reviewer", "tests.support.scaled_app:app"


class Scaled:
    """A hive's home and a broker, and what its tasks have left there."""

    def __init__(self, home: HiveHome, server: RedisServer) -> None:
        self.home, self.server = home, server
        self.client: redis.Redis[bytes] = server.client()
        self.app = Hive("scaled", broker=server.url, backend=server.url)
        self.sent = 0
        self.events: list[dict[str, Any]] = []
        self._listening = ExitStack()

    @property
    def store(self) -> Store:
        return self.app.access.store

    def start(self, *command: str, slots: int = 1, workers: int = 1, **environ: str) -> "subprocess.Popen[str]":
        bounds = {"SCALED_URL": self.server.url, "SCALED_SLOTS": str(slots), "SCALED_WORKERS": str(workers)}
        log = self.home.path.parent / f"{command[0]}.log"
        return self.home.start("hive", *command, "-A", APP, log=log, **bounds, **environ)

    def run(self, *command: str, slots: int = 1, workers: int = 1) -> str:
        bounds = {"SCALED_URL": self.server.url, "SCALED_SLOTS": str(slots), "SCALED_WORKERS": str(workers)}
        ended = self.home.run(*command, "-A", APP, **bounds)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def publish(self, count: int, seconds: float, name: str = "scaled.nap") -> None:
        with self.app.batch():
            for _ in range(count):
                self.app.send_task(name, (seconds,), queue=QUEUE, ignore_result=True)
        self.sent += count

    def close(self) -> None:
        self._listening.close()
        self.client.close()
        self.app.close()

    def listen(self) -> None:
        """Gather the events of scalers from now on."""
        self.events = self._listening.enter_context(listening(self.app, "hive-scaled"))

    def look(self, slots: int | None) -> None:
        """Ask for a number of slots, and have workers look at once."""
        self.store.override_size(TYPE, slots)
        self.app.control.broadcast("hive_look_at_size")

    def sizes(self) -> list[int]:
        """Return the slots of the only worker, as it says itself."""
        stats = self.app.control.inspect(timeout=10.0, limit=1).stats() or {}
        return sorted(int(one["autoscaler"]["current"]) for one in stats.values())

    def consumers(self) -> int:
        return self.store.demand([QUEUE])[0].consumers

    def changes(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in reversed(self.store.scaling_history(TYPE))]

    def assert_all_ran_once(self, timeout_s: float = 60) -> None:
        """All that was sent has begun once and ended once; no delivery was counted as a death."""
        eventually(lambda: self.client.llen("ended") >= self.sent, timeout_s, what="all have ended")
        for kind in ("started", "ended"):
            times = Counter(self.client.lrange(kind, 0, -1))
            assert (len(times), set(times.values())) == (self.sent, {1}), kind
        assert eventually(lambda: self.store.demand([QUEUE])[0].held == 0) is True
        counters = self.store.stats(QUEUE).counters
        assert {name: counters.get(name, 0) for name in ("deaths", "redelivered", "reaped")} == {
            "deaths": 0,
            "redelivered": 0,
            "reaped": 0,
        }


@pytest.fixture
def scaled(hive_home: HiveHome, own_redis: RedisServer) -> Iterator[Scaled]:
    made = Scaled(hive_home, own_redis)
    yield made
    made.close()


def test_slots_follow_what_waits_and_what_runs_is_never_taken(scaled: Scaled) -> None:
    scaled.start("worker", TYPE, slots=6)
    eventually(lambda: scaled.consumers() == 1, what="the worker consumes")
    # No flag was needed for the range, and it begins with the least.
    assert eventually(scaled.sizes) == [1]
    scaled.listen()
    scaled.publish(150, 0.05)
    eventually(lambda: scaled.sizes() == [6], what="it has grown")
    change = scaled.changes()[0]
    assert (change["reason"], change["slots"], change.get("term")) == ("backlog", 1, None)
    assert change["backlog"] > 100
    (event, *_) = eventually(lambda: scaled.events, what="the change is an event")
    assert (event["agent_type"], event["scope"], event["term"]) == (TYPE, change["scope"], None)
    assert event["decision"] == {name: change[name] for name in event["decision"]}
    for round_ in range(6):
        scaled.publish(20, 0.03)
        scaled.look(2 if round_ % 2 == 0 else 6)
        eventually(lambda wanted=2 if round_ % 2 == 0 else 6: scaled.sizes() == [wanted], what="the size asked for")
    scaled.assert_all_ran_once()
    # 1 -> 6, then 6 -> 2 and back three times; each of them is in the history with what it was decided by.
    shrunk = [one for one in scaled.changes() if one["target"] < one["slots"]]
    assert sum(one["reason"] == "override" for one in shrunk) >= 3
    scaled.look(None)
    assert "celery" not in scaled.run("scale", "--json", slots=6)


@pytest.mark.parametrize(("pool", "task"), [("asyncio", "scaled.anap"), ("gevent", "scaled.nap")])
def test_slots_within_a_process_follow_too(scaled: Scaled, pool: str, task: str) -> None:
    if pool == "gevent":
        pytest.importorskip("gevent", reason="pip install gevent, for a worker with its pool")
    scaled.start("worker", TYPE, "--pool", pool, slots=40)
    eventually(lambda: scaled.consumers() == 1, what="the worker consumes")
    scaled.publish(400, 0.2, task)
    eventually(lambda: scaled.sizes() == [40], what="it has grown")
    scaled.look(1)
    eventually(lambda: scaled.sizes() == [1], what="it has shrunk")
    scaled.look(40)
    scaled.assert_all_ran_once()


def test_whole_workers_start_and_drain_and_an_override_holds(scaled: Scaled) -> None:
    scaled.start("up", "--no-beat", slots=2, workers=3, HIVE_SCALING_MEMORY_MB="100000", HIVE_SCALING_CORES="100")
    eventually(lambda: scaled.consumers() == 1, what="one worker consumes")
    scaled.listen()
    scaled.publish(200, 0.05)
    eventually(lambda: scaled.consumers() == 3, what="workers were started")
    fleet = [one for one in scaled.changes() if one["scope"] == "fleet"]
    assert (fleet[0]["workers"], fleet[0]["slots"], fleet[0]["reason"]) == (3, 2, "backlog")
    told = eventually(lambda: [one for one in scaled.events if one["scope"] == "fleet"], what="it is an event")
    assert (told[0]["workers"], told[0]["term"], told[0]["decision"]["backlog"] > 100) == (3, fleet[0]["term"], True)
    scaled.publish(30, 0.4)
    said = scaled.run("scale", TYPE, "1", slots=2, workers=3)
    assert said == f"hive: {TYPE} keeps 1 slot\n"
    eventually(lambda: scaled.consumers() == 1, 60, what="the others have drained")
    assert "allow 1 to 6" in scaled.run("scale", TYPE, "50", slots=2, workers=3)
    eventually(lambda: scaled.consumers() == 3, 60, what="they were started again")
    (row,) = [one for one in json.loads(scaled.run("scale", "--json", slots=2, workers=3)) if one["agent_type"] == TYPE]
    assert (row["override"], row["target"], row["reason"], row["bounds"]) == (6, 6, "override", [1, 6])
    assert re.search(rf"^{TYPE} .* 3 workers  override", scaled.run("scale", slots=2, workers=3), re.MULTILINE)
    assert "follows demand" in scaled.run("scale", TYPE, "auto", slots=2, workers=3)
    scaled.assert_all_ran_once(90)


def test_a_drain_waits_for_coroutines_longer_than_the_grace_period(scaled: Scaled) -> None:
    worker = scaled.start("worker", TYPE, "--pool", "asyncio", slots=2, HIVE_WORKER_GRACE_S="0.5")
    eventually(lambda: scaled.consumers() == 1, what="the worker consumes")
    scaled.publish(1, 4.0, "scaled.anap")
    eventually(lambda: scaled.client.llen("started") == 1)
    os.kill(worker.pid, signal.SIGUSR2)
    worker.wait(60)
    assert worker.returncode == 0
    scaled.assert_all_ran_once(1)


def _get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:
        return 0, None


def test_platforms_are_told_the_number_of_workers(scaled: Scaled) -> None:
    port = free_port()
    scaled.publish(500, 0.05)
    (decided, other) = json.loads(scaled.run("autoscale", "--once", "--json", slots=2, workers=3))
    assert (decided["agent_type"], decided["workers"], decided["term"]) == (TYPE, 3, None)
    assert other["workers"] == 1
    wrong = scaled.home.run("autoscale", "--once", "--command", "run {wrkers}", "-A", APP, SCALED_URL=scaled.server.url)
    assert (wrong.returncode, "only {agent_type} and {workers}" in wrong.stderr) == (2, True)
    # A look changes nothing: nobody leads, nothing is recorded.
    assert scaled.store.scaling_sizes() == {}
    scaled.start("autoscale", "--port", str(port), slots=2, workers=3, HIVE_SCALING_MEMORY_MB="100000")
    status, figures = eventually(lambda: (found := _get(f"http://127.0.0.1:{port}/metrics/{TYPE}"))[0] == 200 and found)
    assert (status, figures["target"], figures["backlog"], figures["reason"]) == (200, 3, 500, "backlog")
    assert _get(f"http://127.0.0.1:{port}/metrics")[1][TYPE]["target"] == 3
    status, refusal = _get(f"http://127.0.0.1:{port}/metrics/nobody")
    assert (status, f"about nobody, but about {TYPE}" in refusal["error"]) == (503, True)
    assert _get(f"http://127.0.0.1:{port}/health")[0] == 204
    assert _get(f"http://127.0.0.1:{port}/else")[0] == 404
    # Without workers all 500 wait; KEDA's scaler reads what this says it reads.
    yaml = pytest.importorskip("yaml")
    written = yaml.safe_load(
        scaled.run("autoscale", "--scaled-object", TYPE, "--url", f"http://127.0.0.1:{port}", workers=3)
    )
    trigger = written["spec"]["triggers"][0]
    assert (trigger["type"], written["spec"]["maxReplicaCount"]) == ("metrics-api", 3)
    wanted = float(_get(trigger["metadata"]["url"])[1][trigger["metadata"]["valueLocation"]])
    assert wanted / float(trigger["metadata"]["targetValue"]) == 3


def test_what_came_to_a_hive_can_be_simulated(scaled: Scaled) -> None:
    environ = {"SCALED_URL": scaled.server.url}
    nothing = scaled.home.run("simulate", "--history", TYPE, "-A", APP, **environ)
    assert (nothing.returncode != 0, "0 minutes" in nothing.stderr) == (True, True)
    now = scaled.app.process.clock.wall_ms() // 60_000
    counts = {minute: 60 if minute % 10 < 5 else 6 for minute in range(now - 90, now)}
    for minute, count in counts.items():
        scaled.store.note_arrivals(minute, {TYPE: count})
    shown = json.loads(scaled.run("simulate", "--history", TYPE, "--since", "45m", "--service-s", "0.5", "--json"))
    assert shown[0]["series"] == TYPE
    assert shown[0]["arrivals"] == sum(count for minute, count in counts.items() if minute >= now - 45)
    assert shown[0]["scalers"][0]["scaler"] == "hive"
    scaled.store.note_arrivals(now - 95, {TYPE: 1})
    gap = scaled.home.run("simulate", "--history", TYPE, "--service-s", "0.5", "--json", "-A", APP, **environ)
    assert json.loads(gap.stdout)[0]["arrivals"] == sum(counts.values()) + 1
    assert "in 4 of 95 minutes nobody counted" in gap.stderr
    both = scaled.home.run("simulate", "--history", TYPE, "--arrivals", "x.csv", "-A", APP, **environ)
    assert (both.returncode != 0, "--arrivals FILE, or --history TYPE" in both.stderr) == (True, True)
