"""Durable tasks in real workers that are killed: no finished step is repeated, and waits hold no slot."""

import importlib
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from hive.runtime.durable.parked import parked_tasks
from hive.runtime.durable.task import EventTimeoutError, StepUnknownError
from hive.store.store import Store
from tests.conftest import SEED
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import QUICK, WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

APP = "tests.support.durable_app"


@pytest.fixture
def tasks(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The durable application on a broker of the test's own; imported anew because it reads its address at import."""
    import tests.support.durable_app as module

    monkeypatch.setenv("DELIVERY_URL", own_redis.url)
    monkeypatch.setenv("DURABLE_NOTES", str(own_redis.directory))
    return importlib.reload(module)


@pytest.fixture
def store(tasks: Any) -> Store:
    found: Store = tasks.app.access.store
    return found


def lines(server: RedisServer, name: str) -> list[str]:
    path = server.directory / name
    return path.read_text().splitlines() if path.exists() else []


def has_begun(server: RedisServer, task_id: str, count: int) -> bool:
    return len(lines(server, f"begun:{task_id}")) >= count


def parked(store: Store, count: int) -> bool:
    figures = store.stats("celery")
    return store.parked_count("celery") == count and figures.in_flight == 0


@pytest.mark.parametrize(("pool", "kills_wanted"), [("threads", 1), ("prefork", 2)])
def test_a_run_whose_worker_is_killed_again_and_again_repeats_no_finished_step(
    own_redis: RedisServer, tasks: Any, store: Store, pool: str, kills_wanted: int
) -> None:
    source = random.Random(SEED)
    result = tasks.steps.delay(16, 0.04)
    kills = 0
    while kills < kills_wanted:
        with WorkerProcess(own_redis, app=APP, pool=pool, environment=QUICK) as worker:
            worker.ready()
            wanted = len(lines(own_redis, f"begun:{result.id}")) + source.randrange(1, 5)
            eventually(partial(has_begun, own_redis, result.id, wanted), what="under way again")
            kills += 1
    with WorkerProcess(own_redis, app=APP, pool=pool, environment=QUICK):
        wanted = len(lines(own_redis, f"begun:{result.id}")) + 1
        eventually(partial(has_begun, own_redis, result.id, wanted), what="under way again")
        # Nothing of the run is lost with the broker's process, and no step is repeated for that.
        own_redis.restart(kill=True)
        assert result.get(timeout=60) == sum(number * number for number in range(16))
    begun, ended = (Counter(lines(own_redis, f"{what}:{result.id}")) for what in ("begun", "ended"))
    records = {step.name: step.unknown_count for step in store.run_steps(result.id)}
    assert set(ended) == {str(number) for number in range(16)}
    repeated = {number: count - 1 for number, count in begun.items() if count > 1}
    assert sum(repeated.values()) <= kills
    for number, count in repeated.items():
        # It was in flight at a kill, and is marked as often; also where the kill came before its own first line.
        assert records[f"s{number}"] >= count
    assert sum(records.values()) <= kills


@pytest.fixture(params=["threads", "custom"], ids=["threads", "asyncio"])
def any_worker(request: pytest.FixtureRequest, own_redis: RedisServer, tasks: Any) -> Iterator[WorkerProcess]:
    environment = {**QUICK, "CELERY_CUSTOM_WORKER_POOL": "hive.pools:AsyncioPool"}
    with WorkerProcess(own_redis, app=APP, pool=request.param, concurrency=2, environment=environment) as started:
        yield started.ready()


@pytest.mark.usefixtures("any_worker")
def test_steps_of_one_name_side_by_side_and_over_retries(own_redis: RedisServer, tasks: Any) -> None:
    assert tasks.same_name.delay(3).get(timeout=60) == [[0, 0], [1, 1], [2, 4]]
    assert tasks.async_steps.delay(8, 0.02).get(timeout=60) == sum(number * number for number in range(8))
    flaky = tasks.fails_once.delay()
    assert flaky.get(timeout=60) == "third"
    assert len(lines(own_redis, f"bodies:{flaky.id}")) == 3
    assert lines(own_redis, f"first:{flaky.id}") == ["once"]
    assert len(lines(own_redis, f"ended:{flaky.id}")) == 3


def test_a_step_in_flight_at_a_death_is_retried_with_the_same_key_asked_about_or_fails(
    own_redis: RedisServer, tasks: Any, store: Store
) -> None:
    with WorkerProcess(own_redis, app=APP, pool="prefork", environment=QUICK) as worker:
        worker.ready()
        retried, asked, told, failed = (tasks.dies_in_a_step.delay(how) for how in ("retry", "ask", "ask", "fail"))
        assert retried.get(timeout=60) == "charged"
        keys = lines(own_redis, f"keys:{retried.id}")
        assert keys == [f"{retried.id}:charge"] * 2
        with pytest.raises(StepUnknownError):
            failed.get(timeout=60)
        eventually(lambda: store.parked_count("celery") == 2, what="both wait for an answer")
        listed = {(one.task_id, one.waits_for, one.name) for one in parked_tasks(store, "celery", 9)}
        assert listed == {(asks.id, "answer", "charge") for asks in (asked, told)}
        for asks in (asked, told):
            eventually(lambda asks=asks: f"hive wake {asks.id} --answer" in worker.text(), what="the log asks")
        written = tasks.app.agents.answer(asked.id, "retry")
        assert written
        assert asked.get(timeout=60) == "charged"
        assert len(lines(own_redis, f"keys:{asked.id}")) == 2
        tasks.app.agents.answer(told.id, "result", {"receipt": 7})
        assert told.get(timeout=60) == {"receipt": 7}
        assert len(lines(own_redis, f"keys:{told.id}")) == 1
        for result in (retried, asked, told, failed):
            assert lines(own_redis, f"ended:{result.id}") == ["before"]


def test_a_sleep_outlives_worker_and_broker_without_a_slot_and_is_no_death_no_retry(
    own_redis: RedisServer, tasks: Any, store: Store
) -> None:
    with WorkerProcess(own_redis, app=APP, concurrency=1, environment=QUICK) as worker:
        worker.ready()
        sleepers = [tasks.sleeps.delay(6.0) for _ in range(20)]
        eventually(lambda: parked(store, 20), what="all are parked")
        # One slot, and it is free.
        assert tasks.plain.delay(5).get(timeout=60) == 5
        assert {sleeper.state for sleeper in sleepers} <= {"PENDING", "STARTED"}
    own_redis.restart(kill=True)
    with WorkerProcess(own_redis, app=APP, concurrency=1, environment=QUICK):
        assert [sleeper.get(timeout=60) for sleeper in sleepers] == ["woke"] * 20
    for sleeper in sleepers:
        assert lines(own_redis, f"ended:{sleeper.id}") == ["before", "after"]
    figures = tasks.app.access.store.stats("celery")
    assert figures.counters.get("deaths", 0) == 0
    assert figures.counters.get("redelivered", 0) == 0
    assert figures.counters["parked"] == 20


@pytest.mark.usefixtures("any_worker")
def test_signals_before_and_after_a_wait_a_timeout_and_a_wake_by_hand(tasks: Any, store: Store) -> None:
    agents = tasks.app.agents
    early = tasks.waits.apply_async(("go",), task_id="early", countdown=1)
    agents.signal("early", "go", {"number": 1})
    assert early.get(timeout=60) == {"number": 1}
    late = tasks.waits.delay("go")
    eventually(lambda: parked(store, 1), what="it waits")
    agents.signal(late.id, "go", [2])
    assert late.get(timeout=60) == [2]
    with pytest.raises(EventTimeoutError):
        tasks.waits.delay("go", 0.5).get(timeout=15)
    several = tasks.async_waits.apply_async(("go",), agent="waiter")
    eventually(lambda: parked(store, 1), what="it waits")
    agent = tasks.app.agent("waiter")
    agent.signal("go", "a")
    agent.signal("go", "b")
    assert several.get(timeout=60) == ["a", "b"]
    sleeper = tasks.sleeps.delay(86_400.0 * 30)
    eventually(lambda: parked(store, 1), what="it sleeps for a month")
    [listed] = parked_tasks(store, "celery", 9)
    assert (listed.waits_for, listed.name) == ("time", "")
    assert listed.until_ms is not None
    assert agents.wake_task(sleeper.id)
    assert sleeper.get(timeout=60) == "woke"
