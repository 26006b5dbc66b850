"""Tasks over a limit wait on the broker in their turn, and calls with a key take turns, in real workers."""

import importlib
import os
import signal
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from benchmarks.limits import measure_grants
from hive.errors import InputError
from tests.conftest import SEED
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

APP = "tests.support.limited_app"
ONE_EACH = {"HIVE_WORKER_PREFETCH": "1"}


@pytest.fixture
def tasks(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The limited application, on this module's broker; imported anew because it reads its address at import."""
    import tests.support.limited_app as module

    monkeypatch.setenv("DELIVERY_URL", server.url)
    yield importlib.reload(module)
    server.client().flushdb()


def times_s(server: RedisServer, event: str = "start") -> list[tuple[float, str]]:
    """Return when tasks did something, on the broker's clock, and their ids."""
    lines = [line.decode().split() for line in server.client().lrange("trace", 0, -1)]  # type: ignore[union-attr]
    return sorted((int(at_us) / 1e6, id_) for id_, kind, at_us in lines if kind == event)


def most_in_a_second(times: list[float]) -> int:
    """Return how many lie in the fullest second."""
    return max(bisect_left(times, start + 1) - place for place, start in enumerate(times))


def test_processes_that_are_killed_never_exceed_limits_together() -> None:
    found = measure_grants(processes=4, seconds=4, kills=3, seed=SEED)
    assert found["grants_over"] == 0
    assert found["fullest_second"]["requests"] >= 90
    # On a quiet machine it is 95 % and more: benchmarks/limits.py.
    assert found["utilisation"] >= 0.5


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_tasks_over_a_limit_wait_on_the_broker_and_hold_no_slot(server: RedisServer, tasks: Any, pool: str) -> None:
    with WorkerProcess(server, pool=pool, app=APP).ready(), WorkerProcess(server, pool=pool, app=APP).ready():
        results = [tasks.call_model.delay(number) for number in range(80)]
        eventually(lambda: tasks.app.access.store.stats("celery").scheduled > 30, what="waiting on the broker")
        assert tasks.plain.delay("free").get(timeout=60) == "free"
        assert not all(result.ready() for result in results), "it waited for nobody"
        assert [result.get(timeout=60) for result in results] == list(range(80))
    times = [at_s for at_s, _ in times_s(server, "grant")]
    assert len(times) == 80
    assert most_in_a_second(times) <= 20
    # Three seconds at least, and more where the machine is busy.
    assert 3 <= times[-1] - times[0] <= 30


def test_what_a_task_has_used_counts_in_place_of_its_estimate(server: RedisServer, tasks: Any) -> None:
    with WorkerProcess(server, app=APP).ready():
        first = [tasks.use_tokens.delay("t", max_tokens=500, used=50) for _ in range(6)]
        assert [result.get(timeout=60) for result in first] == [50] * 6
        server.client().delete("trace")
        results = [tasks.use_tokens.delay("t", max_tokens=500, used=50) for _ in range(24)]
        [result.get(timeout=60) for result in results]
    times = [at_s for at_s, _ in times_s(server)]
    # By their estimates they would take 12 s, for what they use less than one.
    assert times[-1] - times[0] < 11
    used = {one.name: one.used for one in tasks.app.access.store.limits()}
    assert used["tokens:1000:t"] <= 1_000


def test_a_task_that_can_never_be_granted_fails_and_says_why(server: RedisServer, tasks: Any) -> None:
    with WorkerProcess(server, app=APP).ready(), pytest.raises(Exception, match="cannot reserve 5000"):
        tasks.use_tokens.delay("t", max_tokens=5_000, used=1).get(timeout=60)


def test_places_of_a_dead_worker_are_free_again(server: RedisServer, tasks: Any) -> None:
    with WorkerProcess(server, app=APP).ready() as first, WorkerProcess(server, app=APP).ready() as second:
        held = tasks.hold.delay("t", 60)
        eventually(lambda: len(times_s(server)) == 1)
        waits = tasks.hold.delay("t", 0)
        assert tasks.hold.delay("other", 0).get(timeout=60) == "other"
        holder = first if held.id in first.text() and "received" in first.text() else second
        assert not waits.ready()
        os.killpg(holder.process.pid, signal.SIGKILL)
        # The dead one's message is delivered again, and stands in line before or behind the other.
        eventually(lambda: waits.ready() or len(times_s(server)) >= 3, what="the place is free")
        assert psutil.pid_exists(second.process.pid) or psutil.pid_exists(first.process.pid)


def test_a_small_tenant_is_not_behind_a_large_ones_backlog(server: RedisServer, tasks: Any) -> None:
    service_s = 0.05
    with tasks.app.batch():
        large = [tasks.serve.delay("large", service_s) for _ in range(1_000)]
    with WorkerProcess(server, app=APP, environment=ONE_EACH).ready():
        eventually(lambda: len(times_s(server)) >= 5)
        stats = tasks.app.access.store.stats("celery")
        assert sum(stats.ready.values()) <= 2
        assert stats.behind > 900
        assert tasks.app.access.channel._size("celery") == stats.behind + sum(stats.ready.values())
        small = [tasks.serve.delay("small", service_s) for _ in range(5)]
        [result.get(timeout=60) for result in small]
    order = [id_ for _, id_ in times_s(server)]
    places = [order.index(result.id) for result in small]
    assert sum(result.id in order for result in large) < 60
    # Five of the small tenant took turns with as many of the large one, after those in hand.
    assert places[-1] - places[0] <= 12


def test_a_call_names_its_key_and_keeps_it_over_a_schedule(server: RedisServer, tasks: Any) -> None:
    tasks.plain.apply_async(args=("x",), fair_key="gold", fair_weight=3)
    tasks.plain.apply_async(args=("y",), fair_key="gold", countdown=0.2)
    # The first passes what is ready, the second waits.
    for value in ("z", "zz"):
        tasks.app.send_task(tasks.plain.name, args=(value,), fair_key="tin")
    tasks.plain.delay("unkeyed")
    store = tasks.app.access.store
    assert store.waiting_by_key("celery") == {"tin": 1}
    with WorkerProcess(server, app=APP).ready():
        eventually(lambda: len(times_s(server)) == 5)
    with pytest.raises(InputError, match="fair_key"):
        tasks.plain.apply_async(args=("x",), fair_key="")
