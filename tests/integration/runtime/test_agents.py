"""Agents between processes that die, race or have faulty hooks: no message stays behind, no agent keeps others waiting."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hive import Hive
from hive.agents.lifecycle import AgentState
from hive.agents.sleep_policy import SleepPolicy
from hive.errors import HiveError
from hive.guards.guard import GuardedCall
from hive.runtime.durable.direct_run import Step
from hive.runtime.durable.run import Run
from hive.runtime.durable.task import AGENT, ANSWER, Durable
from hive.runtime.guarding.agent_guard import LOOK_AGAIN_MS, AgentGuard
from hive.settings.load import load_settings
from hive.store.store import Store
from hive.store.values import ConsumerInfo, DeliveryId, Outgoing, Start
from tests.support.redis_server import RedisServer


@pytest.fixture
def app(own_redis: RedisServer, tmp_path: Path) -> Hive:
    return Hive("agents", broker=own_redis.url, settings=load_settings(home=tmp_path))


@pytest.fixture
def store(app: Hive) -> Store:
    return app.access.store


def park_for(store: Store, agent: str) -> None:
    """Have a message wait for an agent that sleeps, until somebody releases it."""
    store.agent_policy(agent, SleepPolicy(wakes_on_message=False))
    asleep = store.agent_move(agent, 1, AgentState.SLEEPING, by="a test")
    assert asleep.done
    store.publish(Outgoing(queue="q", payload=b"payload", message_id="m"))
    store.register("c", ["q"], ConsumerInfo(node="c@test", pid=7, version="1.0", started_ms=5))
    (delivery,) = store.claim("c", ["q"], sequence=1, credit=9, idle=True).deliveries
    store.start("c", [Start(id=delivery.id, message_id="m")])
    store.agent_park("c", delivery.id, "m", agent, token=asleep.token, due_ms=None)
    assert not claimed(store, 2), "it waits"


def claimed(store: Store, sequence: int) -> int:
    return len(store.claim("c", ["q"], sequence=sequence, credit=9, idle=True).deliveries)


def test_messages_go_on_though_who_woke_their_agent_died_before_it_released_them(app: Hive, store: Store) -> None:
    park_for(store, "a")
    assert store.agent_move("a", store.agent_seen("a").token, AgentState.AWAKE, by="a process that dies").done
    assert app.agents.keep() == {"a": "awake: 1 messages that waited go on"}
    assert claimed(store, 3) == 1
    assert app.agents.keep() == {}


def test_a_message_that_comes_to_wait_while_its_agent_is_forgotten_goes_on(app: Hive, store: Store) -> None:
    park_for(store, "a")
    # What forgetting does to the broker, as if the message had come after all that waited was released.
    store.agent_forget("a")
    assert store.agent("a") is None
    assert store.agent_release("a") == 1
    assert claimed(store, 3) == 1


def test_a_hook_that_fails_for_one_agent_keeps_no_other_from_its_sleep(app: Hive) -> None:
    def on_sleep(agent: str, state: Any) -> Any:
        if agent == "a":
            raise ZeroDivisionError
        return state

    app.agents.on_sleep(on_sleep)
    for name in ("a", "b"):
        app.agent(name).follow(SleepPolicy(idle_s=0.001))
    told: dict[str, str] = {}
    while "b" not in told:
        told |= app.agents.keep()
    assert {record.name: record.state for record in app.agents} == {"a": AgentState.AWAKE, "b": AgentState.SLEEPING}
    record = app.agent("a").record
    assert record is not None
    assert "ZeroDivisionError" in record.failure
    with pytest.raises(HiveError, match="ZeroDivisionError"):
        app.agent("a").sleep()


def test_an_agent_sleeps_though_a_message_of_it_ended_where_nobody_noted_it(app: Hive, store: Store) -> None:
    # A worker that was killed by a message for the last time leaves a dead letter, and this.
    assert store.agent_enter("a", "m", "q a-killed-worker 7").done
    app.agent("a").follow(SleepPolicy(idle_s=0.001))
    assert app.agents.keep() == {}, "a message that began a moment ago is not doubted"
    store.client.zadd(store.layout.shared("hive:agents", "names"), {"a": 1})
    store.client.hset(store.layout.shared("hive:agents", "agent", "a"), "since_ms", 1)
    assert "a" in app.agents.keep()
    assert app.agent("a").state is AgentState.SLEEPING


def begun_by_a_killed_worker(store: Store) -> Any:
    """Return the request of a task whose step ``charge`` was in flight at a death, as its next delivery has it."""
    store.publish(Outgoing(queue="q", payload=b"payload", message_id="m"))
    for sequence in (1, 2):
        store.register("c", ["q"], ConsumerInfo(node="c@test", pid=7, version="1.0", started_ms=5))
        (delivery,) = store.claim("c", ["q"], sequence=sequence, credit=9, idle=True).deliveries
        store.start("c", [Start(id=delivery.id, message_id="m")])
        if sequence == 1:
            store.step_begin("c", delivery.id, "t", "charge")
            store.reject("c", delivery.id, "killed")
    fence = {"consumer": "c", "queue": "q", "token": delivery.id.token, "message": "m", "broker": ""}
    return SimpleNamespace(id="t", hive_agent="a", headers={}, delivery_info={"hive": fence})


def test_an_operators_result_is_kept_though_the_agent_is_put_to_sleep_that_moment(app: Hive, store: Store) -> None:
    request = begun_by_a_killed_worker(store)
    run = Run(app, request, Durable(on_unknown="ask"))
    assert store.signal_run("t", f"{ANSWER}charge", run._written.encode({"answer": "result", "result": 7}, "t"))
    begun = run._begin

    def put_to_sleep(step: Step, *, again: bool = False) -> Any:
        if again:
            seen = store.agent_seen("a")
            assert store.agent_move("a", seen.token, AgentState.PREPARING_SLEEP, by="a test", term_s=60).done
        return begun(step, again=again)

    run._begin = put_to_sleep
    assert run.begin(run.named("charge")).value == 7
    assert store.step_begin(
        "c", DeliveryId(queue="q", token=request.delivery_info["hive"]["token"]), "t", "charge"
    ).result


def test_a_message_that_comes_while_its_agent_is_put_to_sleep_does_not_wait_for_the_end_of_that_term(
    app: Hive, store: Store
) -> None:
    store.agent_policy("a", SleepPolicy())
    assert store.agent_move("a", 1, AgentState.PREPARING_SLEEP, by="a test", term_s=120).done
    call = GuardedCall(
        id="i",
        task="t",
        queue="q",
        retries=0,
        headers={AGENT: "a"},
        arguments=lambda: ((), {}),
        message_id="m",
        where="q c 1",
    )
    verdict = AgentGuard(app, app.agents.sleeper).ask(call)
    assert verdict.agent is not None
    assert (verdict.agent.due_ms or 0) - store.server_time_ms() <= LOOK_AGAIN_MS
