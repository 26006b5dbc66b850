"""Tasks whose breaker is open wait on the broker, without an attempt or a slot, or give their fallback."""

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain
from celery.result import AsyncResult

from hive.errors import BreakerOpenError, DeadlineExceededError
from hive.guards import Fallback
from hive.resilience.breaker import BreakerState
from tests.support.eventually import eventually
from tests.support.listening import listening
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

RULES = {
    "HIVE_BREAKER_WINDOW_S": "10",
    "HIVE_BREAKER_MIN_CALLS": "4",
    "HIVE_BREAKER_OPEN_S": "1",
    "HIVE_BREAKER_PROBES": "2",
}
APP = "tests.support.guarded_app"
QUEUES = ("-Q", "celery,agent.code_reviewer,agent.general_developer")


@pytest.fixture(scope="module")
def application(server: RedisServer) -> Iterator[Any]:
    """The guarded application, which reads its broker's address at import: imported anew if somebody had it before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DELIVERY_URL", server.url)
        sys.modules.pop(APP, None)
        yield importlib.import_module(APP)


@pytest.fixture
def tasks(server: RedisServer, application: Any) -> Iterator[Any]:
    yield application
    server.client().delete("trace", "flaky:down")


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_task_whose_breaker_is_open_waits_without_a_start_until_the_dependency_answers(
    server: RedisServer, tasks: Any, pool: str
) -> None:
    client, store = server.client(), tasks.app.access.store
    client.set("flaky:down", 1)
    with WorkerProcess(server, pool=pool, app=APP, options=QUEUES, environment=RULES).ready():
        failed = [tasks.call_flaky.delay(number) for number in range(4)]
        eventually(lambda: all(result.failed() for result in failed))
        eventually(lambda: store.breaker("flaky").view.state is BreakerState.OPEN)
        # Held open until all wait, however long that takes.
        store.breaker_force("flaky", BreakerState.OPEN)
        client.delete("trace")
        waiting = [tasks.call_flaky.delay(number) for number in range(20)]
        eventually(lambda: store.stats("celery").scheduled == len(waiting), what="all wait in the scheduled set")
        # Nothing of them began, so nothing holds a slot: a task without that breaker runs at once.
        assert tasks.plain.delay("free").get(timeout=60) == "free"
        assert len(traces(server)) == 1
        # The dependency is still down when the probe time comes: what probes fails, the rest waits on.
        opened, probed = store.breaker("flaky").opened_total, store.breaker("flaky").probes_total
        store.breaker_force("flaky", BreakerState.OPEN, for_s=0)
        eventually(lambda: store.breaker("flaky").opened_total > opened + 1)
        seen = store.breaker("flaky")
        assert 1 <= seen.probes_total - probed <= 2 * (seen.opened_total - opened)
        client.delete("flaky:down")
        eventually(lambda: all(result.ready() for result in waiting), what="all done after it answers again")
    done = [result for result in waiting if result.successful()]
    assert len(waiting) - len(done) <= store.breaker("flaky").probes_total
    assert {result.get() for result in done} <= set(range(20))
    # Each began exactly once, however often it was looked at, and none was counted as a death.
    assert all(len(traces(server, task_id=result.id)) == 1 for result in waiting)
    assert store.stats("celery").counters.get("deaths", 0) == 0
    store.breaker_force("flaky", BreakerState.CLOSED)


def test_a_worker_keeps_nothing_of_guarded_tasks_that_have_ended(server: RedisServer, tasks: Any) -> None:
    with WorkerProcess(server, pool="threads", app=APP, options=QUEUES, environment=RULES).ready():
        results = [tasks.call_flaky.delay(number) for number in range(200)]
        eventually(lambda: all(result.successful() for result in results))
        assert tasks.count_requests.delay().get(timeout=60) < 20


def test_a_fallback_is_marked_with_its_source_and_age_and_goes_on_through_a_chain(
    server: RedisServer, tasks: Any
) -> None:
    store = tasks.app.access.store
    with WorkerProcess(server, app=APP, options=QUEUES, environment=RULES).ready():
        good = tasks.ask_flaky.delay("why")
        assert good.get(timeout=60) == "why!"
        assert not good.is_fallback
        store.breaker_force("flaky", BreakerState.OPEN)
        stale = eventually(lambda: _stale(tasks), what="the worker knows that the breaker is open")
        assert stale.get() == "why!"
        assert (stale.fallback.source, stale.fallback.guard) == ("last_good", "breaker:flaky")
        assert 0 < stale.fallback.age_s < 30
        # Another question has no last answer; a chain goes on with the default, and a stock reader sees the value.
        chained = chain(tasks.ask_flaky.s("how"), tasks.shout.s())()
        assert chained.get(timeout=60) == "NOTHING KNOWN"
        # A chain goes on a moment before the result of the step it goes on from is written.
        assert chained.parent.get(timeout=60) == "nothing known"
        assert chained.parent.fallback == Fallback(source="default", guard="breaker:flaky", reason="it is open")
        assert AsyncResult(chained.parent.id, app=tasks.app).get() == "nothing known"
        assert not chained.is_fallback
        # A fallback is no good answer: it is not kept as one.
        store.breaker_force("flaky", BreakerState.CLOSED)
        fresh = eventually(lambda: _fresh(tasks))
        assert fresh.get() == "how!"


def _stale(tasks: Any) -> Any:
    result = tasks.ask_flaky.delay("why")
    result.get(timeout=60)
    return result if result.is_fallback else None


def _fresh(tasks: Any) -> Any:
    result = tasks.ask_flaky.delay("how")
    result.get(timeout=60)
    return None if result.is_fallback else result


@pytest.mark.parametrize("pool", ["custom", "threads"])
def test_coroutines_and_retries_are_counted_and_refused_too(server: RedisServer, tasks: Any, pool: str) -> None:
    client, store = server.client(), tasks.app.access.store
    for name in ("flaky", "retried"):
        store.breaker_force(name, BreakerState.CLOSED)
    client.set("flaky:down", 1)
    environment = {**RULES, "CELERY_CUSTOM_WORKER_POOL": "hive.pools:AsyncioPool"}
    with WorkerProcess(server, pool=pool, app=APP, options=QUEUES, environment=environment).ready():
        for number in range(4):
            tasks.ask_flaky.delay(f"{pool} {number}").get(timeout=60, propagate=False)
        eventually(lambda: store.breaker("flaky").view.state is BreakerState.OPEN)
        refused = eventually(lambda: _refused(tasks, pool), what="the fallback of a coroutine task")
        assert refused.get() == "nothing known"
        # What a retry was for counts as a failure of the dependency; the open breaker takes no attempt.
        retried = tasks.retry_flaky.delay()
        eventually(lambda: store.breaker("retried").view.state is BreakerState.OPEN)
        begun = len(traces(server, task_id=retried.id))
        client.delete("flaky:down")
        retries = retried.get(timeout=60)
    starts = traces(server, task_id=retried.id)
    assert 4 <= begun <= len(starts)
    assert len(starts) == retries + 1


def _refused(tasks: Any, pool: str) -> Any:
    result = tasks.ask_flaky.delay(f"{pool} refused")
    result.get(timeout=60, propagate=False)
    return result if result.is_fallback else None


@pytest.mark.parametrize("pool", ["custom", "threads"])
def test_a_breaker_within_the_body_leads_to_the_fallback_too(server: RedisServer, tasks: Any, pool: str) -> None:
    store = tasks.app.access.store
    store.breaker_force("inner", BreakerState.CLOSED)
    environment = {**RULES, "CELERY_CUSTOM_WORKER_POOL": "hive.pools:AsyncioPool"}
    with WorkerProcess(server, pool=pool, app=APP, options=QUEUES, environment=environment).ready():
        assert tasks.look_up.delay(pool, times=2).get(timeout=60) == pool * 2
        assert tasks.look_up.delay(pool).get(timeout=60) == pool
        assert tasks.look_up_soon.delay(pool).get(timeout=60) == f"{pool} 0"
        store.breaker_force("inner", BreakerState.OPEN)
        for task, known in ((tasks.look_up, pool), (tasks.look_up_soon, f"{pool} 0")):
            stale = eventually(lambda task=task: _degraded(task, pool))
            assert (stale.get(), stale.fallback.source, stale.fallback.guard) == (known, "last_good", "breaker:inner")
            other = task.delay("other")
            assert other.get(timeout=60) == "nothing known"
            assert other.fallback.source == "default"
    # Its parameters are checked as before, and called directly it raises what its body raises.
    with pytest.raises(TypeError):
        tasks.look_up.delay()
    eventually(lambda: tasks.app.breaker("inner").status.state is BreakerState.OPEN)
    with pytest.raises(BreakerOpenError):
        tasks.look_up("called directly")


def _degraded(task: Any, word: str) -> Any:
    result = task.delay(word)
    result.get(timeout=60)
    return result if result.is_fallback else None


def test_refusals_and_turns_are_events(server: RedisServer, tasks: Any) -> None:
    store = tasks.app.access.store
    store.breaker_force("flaky", BreakerState.CLOSED)

    def of(kind: str) -> list[dict[str, Any]]:
        return [event for event in seen if event["type"] == kind]

    with (
        listening(tasks.app, "hive-guard", "hive-breaker") as seen,
        WorkerProcess(server, app=APP, options=(*QUEUES, "-E"), environment=RULES).ready(),
    ):
        tasks.ask_flaky.delay("first").get(timeout=60)
        store.breaker_force("flaky", BreakerState.OPEN)
        eventually(lambda: of("hive-breaker"))
        refused, waits = tasks.ask_flaky.delay("second"), tasks.call_flaky.delay(1)
        eventually(lambda: len(of("hive-guard")) >= 2)
        store.breaker_force("flaky", BreakerState.CLOSED)
        assert (refused.get(timeout=60), waits.get(timeout=60)) == ("nothing known", 1)
    turned = of("hive-breaker")[0]
    assert (turned["breaker"], turned["state"], turned["source"]) == ("flaky", "open", "broker")
    actions = {event["uuid"]: (event["action"], event["guard"], event["queue"]) for event in of("hive-guard")}
    assert actions[refused.id] == ("fallback", "breaker:flaky", "celery")
    assert actions[waits.id] == ("wait", "breaker:flaky", "celery")


def test_past_its_deadline_a_task_gives_its_fallback_or_fails(server: RedisServer, tasks: Any) -> None:
    with WorkerProcess(server, app=APP, options=QUEUES, environment=RULES).ready():
        late = tasks.answer.apply_async(("now",), deadline_s=-1)
        assert late.get(timeout=60) == "nothing known"
        assert late.fallback.guard == "deadline"
        moved = tasks.review.apply_async(("src",), deadline_s=-1)
        assert moved.get(timeout=60) == "src by agent.general_developer"
        assert moved.fallback.source == "agent:general_developer"
        hopeless = tasks.plain.apply_async(("late",), deadline_s=-1)
        with pytest.raises(DeadlineExceededError, match="its deadline has passed"):
            hopeless.get(timeout=60)
        assert tasks.plain.apply_async(("in time",), deadline_s=60).get(timeout=60) == "in time"
    assert traces(server, task_id=hopeless.id) == []
    assert len(traces(server, task_id=moved.id)) == 1


def test_a_killed_worker_frees_its_probe(server: RedisServer, tasks: Any) -> None:
    store = tasks.app.access.store
    environment = {**RULES, "HIVE_BREAKER_PROBES": "1", "HIVE_BREAKER_PROBE_LEASE_S": "2"}
    store.breaker_force("flaky", BreakerState.OPEN, for_s=0)
    worker = WorkerProcess(server, app=APP, options=QUEUES, environment=environment).ready()
    with worker:
        tasks.hold_flaky.delay(60)
        eventually(lambda: store.breaker("flaky").probes_out == 1, what="the task won the only probe")
        # It takes longer than the lease of its probe, and keeps it.
        seen = store.breaker("flaky").view.now_ms
        eventually(lambda: store.breaker("flaky").view.now_ms > seen + 2_500)
        assert store.breaker("flaky").probes_out == 1
    with WorkerProcess(server, app=APP, options=QUEUES, environment=environment).ready():
        assert tasks.call_flaky.delay(1).get(timeout=60) == 1
        eventually(lambda: store.breaker("flaky").view.state is BreakerState.CLOSED)
    assert store.breaker("flaky").lost_probes_total == 1
