"""Public signatures, checked by mypy and never run: a change here is a change for users."""

from typing import Any, assert_type

from hive import (
    AdaptiveRetry,
    AgentState,
    AgentType,
    BatchedRetry,
    Capability,
    Concurrency,
    Hive,
    HiveError,
    QueueFull,
    Resources,
    RetryBudget,
    RetryStrategy,
    Settings,
    SleepPolicy,
    SleepWindow,
    Unique,
    load_settings,
)
from hive.checkpoints import Checkpoint, CheckpointStore, Kind, Listing, StateSchema

settings = load_settings(delivery={"lease_s": 9.0})
assert_type(settings, Settings)
assert_type(settings.delivery.lease_s, float)
assert_type(settings.delivery.max_deliveries, int)

tuner = AgentType(
    name="sql_tuner",
    capabilities=(Capability(kind="tune", proficiency=0.9),),
    needs=Resources(cores=2, memory_mb=2048),
    concurrency=Concurrency(minimum=0, maximum=4),
)
assert_type(tuner.queue, str)
assert_type(tuner.proficiency("tune"), float)

app = Hive("shop", broker="redis://localhost", settings=settings, include=["shop.tasks"])
assert_type(app.settings, Settings)
assert_type(app.agent_types["sql_tuner"], AgentType)
anything: Any = app.task(agent_type="code_reviewer")
failure: Exception = HiveError("what happened, and what to do")

once = Unique(within_s=60.0, key=lambda order: order["id"], until="done")
assert_type(once.within_s, float)
anything = app.task(unique=once)
full = QueueFull("orders", 1000, 1000)
assert_type((full.queue, full.length, full.bound), tuple[str, int, int])
strategy: RetryStrategy = AdaptiveRetry(
    budget=RetryBudget(dependency="openai", share=0.1), causes={KeyError: "network"}
)
assert_type(strategy.max_retries, int | None)
assert_type(BatchedRetry(dependency="openai").release_per_s, float)
anything = app.task(retry=strategy)

checkpoints: CheckpointStore = app.checkpoints
schema = StateSchema(version=2, upgrades={1: lambda state: {"messages": state}})
written = checkpoints.write("reviewer-7", {"messages": []}, kind=Kind.PRE_SLEEP, fencing_token=7, schema=schema)
assert_type(written, Checkpoint)
assert_type((written.generation, written.is_newest, written.fencing_token), tuple[int, bool, int | None])
assert_type(checkpoints.read("reviewer-7", label="before"), Checkpoint | None)
assert_type(checkpoints.list("reviewer-7"), Listing)
assert_type((checkpoints.forget("reviewer-7"), checkpoints.prune(), checkpoints.reencrypt()), tuple[int, int, int])

reviewer = app.agent("reviewer-7")
assert_type(reviewer.name, str)
assert_type(reviewer.state, AgentState)
reviewer.follow(SleepPolicy(idle_s=600, windows=(SleepWindow(start="22:00", end="06:00", zone="Europe/Berlin"),)))
assert_type(app.agents.wake_task("task-id"), bool)
assert_type(app.agents.keep(), dict[str, str])
durable: Any = app.task(durable=True, bind=True)
