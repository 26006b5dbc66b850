"""Agents that sleep and wake with real workers: their messages hold no slot, wait or wake them, and none is lost."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.agents import measure
from hive import Hive, load_settings
from hive.agents.lifecycle import AgentEvent, AgentState, AgentStateError
from hive.agents.sleep_policy import SleepPolicy
from hive.agents.windows import SleepWindow
from hive.cli.main import cli
from hive.errors import HiveError
from hive.guards.guard import Answer, GuardedCall
from hive.monitoring.figures import observe_queue
from hive.runtime.agents.handles import KEEP_TASK
from hive.runtime.agents.sleeping import NotDrainedError
from hive.runtime.durable.parked import parked_tasks
from hive.runtime.durable.task import AGENT
from hive.runtime.guarding.agent_guard import AgentGuard
from tests.conftest import SEED
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

APP = "tests.support.durable_app"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def tasks(server: RedisServer, monkeypatch: pytest.MonkeyPatch, home: Path) -> Any:
    """The application on a broker and with checkpoints of this module's own; each test has agents of its own."""
    import tests.support.durable_app as module

    monkeypatch.setenv("DELIVERY_URL", server.url)
    monkeypatch.setenv("HIVE_HOME", str(home))
    monkeypatch.setenv("DURABLE_NOTES", str(server.directory))
    return importlib.reload(module)


@pytest.fixture(scope="module")
def worker(server: RedisServer, home: Path) -> Iterator[WorkerProcess]:
    with WorkerProcess(
        server, app=APP, concurrency=2, environment={"HIVE_HOME": str(home), "DURABLE_NOTES": str(server.directory)}
    ) as started:
        yield started.ready()


def count(server: RedisServer, name: str) -> int:
    """Return how many lines tasks have left under a name."""
    path = server.directory / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def waiting(tasks: Any, name: str) -> int:
    record = tasks.app.agent(name).record
    return 0 if record is None else record.waiting_count


def test_a_message_wakes_an_agent_where_it_was_or_waits_if_its_policy_says_so(
    tasks: Any, worker: WorkerProcess
) -> None:
    agent, deaf = tasks.app.agent("reviewer-7"), tasks.app.agent("deaf")
    assert tasks.plain.apply_async((1,), agent="reviewer-7").get(timeout=60) == 1
    agent.save({"notes": [1, 2]})
    agent.sleep()
    assert agent.state is AgentState.SLEEPING
    with pytest.raises(AgentStateError):
        agent.sleep()
    newest = tasks.app.checkpoints.read("reviewer-7")
    assert (newest.kind, newest.state) == ("pre-sleep", {"notes": [1, 2]})
    assert tasks.plain.apply_async((2,), agent="reviewer-7").get(timeout=60) == 2
    assert (agent.state, agent.load(), agent.record.reason) == (AgentState.AWAKE, {"notes": [1, 2]}, "a message")
    assert tasks.app.access.store.agent_seen("reviewer-7").wakes_on_message is None, "the settings say so"
    deaf.follow(SleepPolicy(wakes_on_message=False))
    deaf.sleep()
    results = [tasks.plain.apply_async((number,), agent="deaf") for number in range(5)]
    eventually(lambda: waiting(tasks, "deaf") == 5, what="all wait")
    store = tasks.app.access.store
    figures = observe_queue(store, "celery")
    assert (figures.in_flight, figures.parked, deaf.state) == (0, 5, AgentState.SLEEPING)
    listed = parked_tasks(store, "celery", 9)
    assert {one.task_id for one in listed} == {result.id for result in results}
    assert {(one.waits_for, one.name, one.agent, one.until_ms) for one in listed} == {("agent", "deaf", "deaf", None)}
    # What waits for one agent is in nobody's way.
    assert tasks.plain.delay("other").get(timeout=60) == "other"
    deaf.wake()
    assert [result.get(timeout=60) for result in results] == list(range(5))
    assert store.stats("celery").counters.get("deaths", 0) == 0
    eventually(lambda: not deaf.record.running and waiting(tasks, "deaf") == 0, what="nothing is left behind")


def test_without_a_policy_of_its_own_the_settings_say_whether_a_message_wakes_an_agent(
    server: RedisServer, home: Path
) -> None:
    for wakes, state in ((False, AgentState.SLEEPING), (True, AgentState.AWAKE)):
        app = Hive("set", broker=server.url, settings=load_settings(home=home, sleep={"wakes_on_message": wakes}))
        agent = app.agent(f"set-{wakes}")
        agent.sleep()
        call = GuardedCall(
            id="t", task="t", queue="q", retries=0, headers={AGENT: agent.name}, arguments=lambda: ((), {}),
            message_id="m", where="q c 1",
        )  # fmt: skip
        assert AgentGuard(app, app.agents.sleeper).ask(call).answer is Answer.WAIT
        eventually(lambda agent=agent, state=state: agent.state is state, what=state)
        app.close()


def test_sleep_waits_for_what_runs_and_hands_durable_work_back_at_its_next_step(
    server: RedisServer, tasks: Any, worker: WorkerProcess
) -> None:
    agent = tasks.app.agent("busy")
    short = tasks.slow.apply_async((1.0,), agent="busy")
    eventually(lambda: count(server, "slow") == 1, what="it runs")
    with pytest.raises(NotDrainedError):
        agent.sleep(drain_s=0.1)
    assert agent.state is AgentState.AWAKE
    assert "did not end in time" in agent.record.failure
    agent.sleep()
    assert count(server, "slow-ended") == 1
    assert short.get(timeout=60) == "slow"
    agent.wake()
    long = tasks.steps.apply_async((20, 0.1), agent="busy")
    eventually(lambda: count(server, f"ended:{long.id}") >= 2, what="under way")
    agent.follow(SleepPolicy(wakes_on_message=False))
    agent.sleep()
    done = count(server, f"ended:{long.id}")
    assert done < 20
    eventually(lambda: waiting(tasks, "busy") == 1, what="its work is parked")
    assert tasks.app.access.store.stats("celery").in_flight == 0
    agent.wake()
    assert long.get(timeout=60) == sum(number * number for number in range(20))
    assert count(server, f"begun:{long.id}") == 20


def test_no_process_that_dies_on_the_way_leaves_an_agent_behind(tasks: Any, worker: WorkerProcess) -> None:
    store, agent = tasks.app.access.store, tasks.app.agent("stuck")
    agent.sleep()
    seen = store.agent_seen("stuck")
    store.agent_move("stuck", seen.token, AgentState.PREPARING_WAKE, by="a process that dies", term_s=1.0)
    # It comes while somebody seems to wake the agent, and finds out by itself that nobody does.
    assert tasks.plain.apply_async((1,), agent="stuck").get(timeout=60) == 1
    assert agent.state is AgentState.AWAKE
    assert "its process died" in agent.record.failure
    seen = store.agent_seen("stuck")
    store.agent_move("stuck", seen.token, AgentState.PREPARING_SLEEP, by="a process that dies", term_s=0.5)
    assert tasks.plain.apply_async((2,), agent="stuck").get(timeout=60) == 2
    # A process that was only slow finds its move refused.
    with pytest.raises(AgentStateError):
        tasks.app.agents.sleeper._follow("stuck", seen, AgentEvent.SLEEP)


def test_an_agent_without_its_state_is_an_error_that_somebody_must_settle(tasks: Any, worker: WorkerProcess) -> None:
    agent = tasks.app.agent("lost")
    agent.save([1])
    agent.sleep()
    tasks.app.checkpoints.forget("lost")
    result = tasks.plain.apply_async((1,), agent="lost")
    eventually(lambda: agent.state is AgentState.ERROR, what="it cannot be woken")
    eventually(lambda: waiting(tasks, "lost") == 1, what="its message waits")
    assert "has none" in agent.record.failure
    with pytest.raises(HiveError):
        agent.wake()
    assert agent.state is AgentState.ERROR
    agent.reset()
    assert result.get(timeout=60) == 1
    agent.forget()
    assert agent.record is None


def fail_to_consolidate(agent: Any) -> None:
    with agent.consolidating():
        assert agent.state is AgentState.CONSOLIDATING
        raise ZeroDivisionError("no")


def test_a_consolidation_that_fails_or_is_overtaken_never_keeps_an_agent_asleep(
    tasks: Any, worker: WorkerProcess
) -> None:
    agent = tasks.app.agent("dreamer")
    agent.sleep()
    with pytest.raises(ZeroDivisionError):
        fail_to_consolidate(agent)
    assert (agent.state, agent.record.failure) == (AgentState.SLEEPING, "consolidation: no")
    with agent.consolidating():
        assert tasks.plain.apply_async((1,), agent="dreamer").get(timeout=60) == 1
        assert agent.state is AgentState.AWAKE
    assert agent.state is AgentState.AWAKE


def test_windows_and_idleness_are_seen_to_by_a_round_that_anybody_may_do(tasks: Any) -> None:
    always = SleepWindow(cron="* * * * *", for_s=120)
    by_window, idle, occupied = (tasks.app.agent(name) for name in ("by-window", "idle", "occupied"))
    store = tasks.app.access.store
    for agent in (by_window, idle, occupied):
        agent.follow(SleepPolicy(idle_s=0.001))
    by_window.follow(SleepPolicy(windows=(always,)))
    assert store.agent_enter("occupied", "m", "celery c 1").done
    # Rounds until it has been idle for a millisecond.
    eventually(lambda: "idle" in tasks.app.agents.keep(), what="the idle agent was seen")
    assert idle.state is AgentState.SLEEPING
    # The window leaves an agent awake whose last message is not a minute ago.
    assert by_window.state is AgentState.AWAKE
    by_window.sleep(f"window {always}")
    assert "by-window" not in tasks.app.agents.keep()
    by_window.follow(SleepPolicy())
    assert tasks.app.agents.keep()["by-window"] == "awake: its window is over"
    assert (by_window.state, occupied.state) == (AgentState.AWAKE, AgentState.AWAKE)


@pytest.mark.usefixtures("worker")
def test_what_beat_sends_does_the_round_in_a_worker(tasks: Any) -> None:
    agent = tasks.app.agent("kept-by-beat")
    agent.follow(SleepPolicy(idle_s=0.001))

    def rounds() -> Any:
        return tasks.app.tasks[KEEP_TASK].delay().get(timeout=60)

    assert "idle for" in eventually(lambda: rounds().get("kept-by-beat"), what="it was seen to")
    assert agent.state is AgentState.SLEEPING


def hive(*words: str) -> str:
    done = CliRunner().invoke(cli, list(words))
    return done.output or str(done.exception)


def test_an_operator_sees_agents_puts_them_to_sleep_wakes_them_and_signals(tasks: Any, worker: WorkerProcess) -> None:
    app = ("-A", f"{APP}:app")
    tasks.app.agent("shown").save({"a": 1})
    assert tasks.plain.apply_async((1,), agent="shown").get(timeout=60) == 1
    assert hive("sleep", "shown", *app) == "agent shown sleeps\n"
    told = {one["name"]: one for one in json.loads(hive("agents", "--json", *app))}["shown"]
    assert (told["state"], told["reason"], told["waiting"]) == ("sleeping", "by hand", 0)
    assert "shown" in hive("agents", *app)
    assert "no 'sleep' there" in hive("sleep", "shown", *app)
    assert hive("wake", "shown", *app) == "agent shown is awake\n"
    result = tasks.waits.apply_async(("go",), agent="shown")
    eventually(lambda: tasks.app.access.store.parked_run(result.id), what="it waits")
    [parked] = [one for one in json.loads(hive("queue", "parked", "--json", *app)) if one["task_id"] == result.id]
    assert (parked["task"], parked["agent"], parked["until_ms"]) == (tasks.waits.name, "shown", None)
    assert (parked["waits_for"], parked["name"]) == ("event", "go")
    assert result.id in hive("queue", "parked", *app)
    assert hive("wake", result.id, "--event", "go", "--value", "[1]", *app).endswith("woken\n")
    assert result.get(timeout=60) == [1]
    assert "no parked task" in hive("wake", "nobody", *app)
    kept = hive("wake", "nobody", "--event", "go", *app)
    assert "kept for 7 days, until a task of that id asks" in kept
    assert "there is no agent 'nobody'" in kept
    kept = hive("wake", "shown", "--event", "later", *app)
    assert kept == "signal later to shown: kept for 7 days, until a task of the agent asks for it\n"
    assert "no agent 'shwon'" in hive("sleep", "shwon", *app)
    assert tasks.app.access.store.agent("shwon") is None, "a slip makes no agent"
    assert hive("agents", "--diagram").startswith("stateDiagram-v2")


def test_sleeping_agents_take_little_of_the_broker_and_wake_soon() -> None:
    found = measure(agents=500, wakes=40, per_s=20.0, state_bytes=200, seed=SEED)
    assert (found["sleeping"], found["slots_held"]) == (500, 0)
    assert found["broker_bytes_each_beside_state"] <= 2_000
    # On a quiet machine p99 is far below 200 ms: benchmarks/agents.py.
    assert found["wake_to_running_ms"]["p50"] <= 200
