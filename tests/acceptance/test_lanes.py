"""Lanes with real workers: a key stays with its worker, and no death, stop or idleness strands what waits there."""

import importlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from hive.cli.main import cli
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

APP = "tests.support.routed_app"
QUEUE = "agent.talker"
SHORT = {
    "HIVE_DELIVERY_LEASE_S": "3.0",
    "HIVE_DELIVERY_RENEW_EVERY_S": "0.5",
    "HIVE_DELIVERY_REAP_EVERY_S": "0.2",
    "HIVE_ROUTING_REPORT_EVERY_S": "0.3",
    "HIVE_ROUTING_FRESH_S": "2.0",
    "HIVE_WORKER_PREFETCH": "1",
}


@pytest.fixture
def tasks(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application on this module's broker; imported anew because it reads its address at import."""
    for name, value in {**SHORT, "DELIVERY_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    import tests.support.routed_app as module

    module = importlib.reload(module)
    yield module
    module.app.close()
    server.client().flushdb()


def worker(server: RedisServer, name: str, queue: str = QUEUE, **environment: str) -> WorkerProcess:
    return WorkerProcess(
        server, app=APP, concurrency=1, options=("-Q", queue, "-n", name), environment={**SHORT, **environment}
    )


def know(tasks: Any, *names: str) -> None:
    """Return once the caller knows of these workers."""
    known = lambda: {one.name for one in tasks.app.snapshots.pools(["talker"])[0].workers}  # noqa: E731
    eventually(lambda: known() == set(names), what=f"the caller knows {names}")


def test_a_key_stays_with_its_worker_and_a_stop_strands_nothing(server: RedisServer, tasks: Any) -> None:
    # The other one may be quicker to see what waits; here it is not to take it.
    kept = {"HIVE_ROUTING_KEEP_PER_SLOT": "1000"}
    with worker(server, "a@t", **kept).ready() as a, worker(server, "b@t", **kept).ready():
        know(tasks, "a@t", "b@t")
        homes = {f"talk-{n}": {tasks.answer.delay(f"talk-{n}").get(timeout=60) for _ in range(3)} for n in range(6)}
        assert all(len(found) == 1 for found in homes.values()), homes
        assert set.union(*homes.values()) == {"a@t", "b@t"}
        # By a call's own key as by the task's template; and turn by turn.
        assert tasks.talk.apply_async(affinity="talk-3").get(timeout=60) in homes["talk-3"]
        assert Counter(tasks.turn.delay().get(timeout=60) for _ in range(4)) == {"a@t": 2, "b@t": 2}
        assert tasks.chat.delay().get(timeout=60) in {"a@t", "b@t"}
        # A worker that stops leaves its lane at once, while its last task still runs.
        key = next(key for key, found in homes.items() if found == {"a@t"})
        long = tasks.talk.apply_async((2.0,), affinity=key)
        eventually(lambda: long.id in traces(server), what="the long task runs")
        waiting = [tasks.talk.apply_async(affinity=key) for _ in range(5)]
        a.process.terminate()
        assert {result.get(timeout=60) for result in waiting[1:]} <= {"a@t", "b@t"}
        assert long.get(timeout=60) == "a@t"
        assert waiting[0].get(timeout=60) in {"a@t", "b@t"}
        assert a.process.wait(60) == 0
        assert "a@t" not in tasks.app.access.store.in_lanes(QUEUE)


def test_a_killed_worker_strands_nothing_in_its_lane(server: RedisServer, tasks: Any) -> None:
    """Neither what it held, nor what waited in its lane, nor what callers that do not know yet send after it."""
    with worker(server, "a@t", HIVE_ROUTING_KEEP_PER_SLOT="1000").ready() as a:
        know(tasks, "a@t")
        held = tasks.talk.apply_async((60.0,), affinity="k")
        eventually(lambda: held.id in traces(server), what="the worker is busy")
        waiting = [tasks.talk.apply_async(affinity="k") for _ in range(40)]
        eventually(lambda: tasks.app.access.store.in_lanes(QUEUE)["a@t"] > 30, what="they wait in the lane")
        a.kill()
        late = [tasks.talk.apply_async(affinity="k") for _ in range(10)]
        with worker(server, "b@t", HIVE_ROUTING_KEEP_PER_SLOT="1000") as b:
            b.ready()
            tasks.app.control.revoke(held.id)
            found = Counter(result.get(timeout=60) for result in waiting + late)
            assert found == {"b@t": 50}
            after = tasks.talk.apply_async(affinity="k")
            assert after.get(timeout=60) == "b@t"
            eventually(lambda: set(tasks.app.access.store.in_lanes(QUEUE)) == {"b@t"}, what="its lane is forgotten")
            counters = tasks.app.access.store.stats(QUEUE).counters
            assert counters["rerouted"] >= 30


def test_an_idle_worker_steals_from_a_long_lane(server: RedisServer, tasks: Any) -> None:
    with worker(server, "a@t").ready():
        know(tasks, "a@t")
        # Its owner is at work for all the time that the other takes to start, so that nothing of it is done by then.
        held = tasks.talk.apply_async((120.0,), affinity="k")
        eventually(lambda: held.id in traces(server), what="the worker is busy")
        waiting = [tasks.talk.apply_async((0.1,), affinity="k") for _ in range(20)]
        eventually(lambda: tasks.app.access.store.in_lanes(QUEUE)["a@t"] == 20, what="they wait in the lane")
        with worker(server, "b@t").ready():
            # All but the one that a lane of one slot keeps.
            assert Counter(result.get(timeout=60) for result in waiting[:-1]) == {"b@t": 19}
            assert tasks.app.access.store.stats(QUEUE).counters["stolen"] == 19
            assert tasks.app.access.store.in_lanes(QUEUE)["a@t"] == 1


def test_operators_see_what_waits_in_lanes_and_why_a_call_goes_there(server: RedisServer, tasks: Any) -> None:
    run = CliRunner().invoke
    with worker(server, "a@t").ready():
        know(tasks, "a@t")
        held = tasks.talk.apply_async((120.0,), affinity="k")
        eventually(lambda: held.id in traces(server), what="the worker is busy")
        for _ in range(5):
            tasks.talk.apply_async(affinity="k")
        listed = json.loads(run(cli, ["queue", "list", QUEUE, "--app", APP, "--json"]).stdout)
        assert (listed[0]["in_lanes"], listed[0]["ready"]) == (5, 0)
        ask = ["route", f"{APP}.talk", "--affinity", "k", "--app", APP, "--json"]
        loads = lambda: [one["load"] for one in json.loads(run(cli, ask).stdout)["candidates"]]  # noqa: E731
        eventually(lambda: loads() == [6.0], what="its report of six tasks")
        told = json.loads(run(cli, ask).stdout)
        assert (told["queue"], told["worker"], told["strategy"]) == (QUEUE, "a@t", "affinity")
        assert [one["worker"] for one in told["candidates"]] == ["a@t"]
        shown = run(cli, ["route", f"{APP}.talk", "--app", APP])
        assert shown.exit_code == 0
        assert "the shared queue" in shown.stdout
        unknown = run(cli, ["route", "nosuch.task", "--app", APP])
        assert unknown.exit_code != 0
    assert json.loads(run(cli, ["queue", "release", QUEUE, "--app", APP, "--json", "--anyway"]).stdout)[0]["lanes"] >= 3
