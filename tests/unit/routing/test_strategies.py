"""What each strategy decides."""

import random

import pytest

from hive.agents.types import AgentType, Resources
from hive.agents.types import Capability as Ability
from hive.errors import SettingsError
from hive.routing.affinity import Affinity
from hive.routing.candidates import Call, Pool, Worker
from hive.routing.capability import Capability
from hive.routing.hybrid import Hybrid
from hive.routing.least_loaded import LeastLoaded
from hive.routing.named import STRATEGIES, strategy_of
from hive.routing.performance import Performance
from hive.routing.resource_aware import ResourceAware
from hive.routing.round_robin import RoundRobin

RNG = random.Random(1)
CODER = AgentType(
    name="coder",
    capabilities=(Ability(kind="write", proficiency=0.9), Ability(kind="review", proficiency=0.5)),
    domains=("python",),
)
CRITIC = AgentType(name="critic", capabilities=(Ability(kind="review", proficiency=0.9),), domains=("python", "go"))


def chosen(strategy, call, *workers, rng=RNG):
    return strategy.choose(call, (Pool(CODER, workers),), 0.0, rng)


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_a_fresh_worker_every_strategy_leaves_it_to_the_shared_queue(name: str) -> None:
    call = Call(kind="write", affinity="k", needs=Resources())
    decision = chosen(strategy_of(name), call)
    assert (decision.agent_type, decision.worker) == ("coder", None)
    assert decision.reason


def test_round_robin_takes_turns_by_the_number_of_the_call() -> None:
    workers = [Worker(name=name) for name in "abc"]
    turns = [chosen(RoundRobin(), Call(number=number), *workers).worker for number in range(5)]
    assert turns == ["a", "b", "c", "a", "b"]


def test_least_loaded_counts_tasks_for_each_slot_and_what_waits() -> None:
    assert chosen(LeastLoaded(), Call(), Worker(name="a", slots=8, busy=4), Worker(name="b", busy=1)).worker == "a"
    assert chosen(LeastLoaded(), Call(), Worker(name="a", queued=3), Worker(name="b", busy=1)).worker == "b"


def test_resource_aware_takes_a_host_with_room_and_under_less_pressure() -> None:
    small, large = Worker(name="small", free_memory_mb=256), Worker(name="large", free_memory_mb=9000, queued=2)
    needs = Resources(memory_mb=1024)
    assert {chosen(ResourceAware(), Call(needs=needs), small, large).worker for _ in range(20)} == {"large"}
    hot, cool = Worker(name="hot", cpu=0.9), Worker(name="cool", cpu=0.1)
    assert {chosen(ResourceAware(), Call(), hot, cool).worker for _ in range(20)} == {"cool"}
    assert chosen(ResourceAware(), Call(needs=needs), small).worker is None


def test_capability_weighs_proficiency_of_types_success_of_workers_and_load() -> None:
    pools = [Pool(CODER, [Worker(name="c")]), Pool(CRITIC, [Worker(name="r")])]
    choose = Capability().choose
    assert choose(Call(kind="review"), pools, 0.0, RNG).worker == "r"
    assert choose(Call(kind="write"), pools, 0.0, RNG).worker == "c"
    assert choose(Call(kind="review", domains=frozenset({"go"})), pools, 0.0, RNG).worker == "r"
    busy = [Pool(CODER, [Worker(name="c")]), Pool(CRITIC, [Worker(name="r", busy=1, queued=5)])]
    assert choose(Call(kind="review"), busy, 0.0, RNG).worker == "c"
    failing = [Pool(CRITIC, [Worker(name="bad", failed_share=0.9), Worker(name="good")])]
    assert choose(Call(kind="review"), failing, 0.0, RNG).worker == "good"
    nobody = choose(Call(kind="review"), [Pool(CODER), Pool(CRITIC)], 0.0, RNG)
    assert (nobody.agent_type, nobody.worker) == ("critic", None)


def test_performance_follows_the_rate_and_discounts_failures() -> None:
    workers = [
        Worker(name="fast", rate=4.0),
        Worker(name="slow", rate=1.0),
        Worker(name="bad", rate=4.0, failed_share=1),
    ]
    picks = [chosen(Performance(), Call(), *workers).worker for _ in range(4000)]
    # Shares 0.8 and 0.2 of nine tenths, and a third of the explored tenth each.
    assert 2.8 < picks.count("fast") / picks.count("slow") < 4.4
    assert 0 < picks.count("bad") < 0.06 * len(picks)


def test_hybrid_names_the_strategy_it_took() -> None:
    workers = [Worker(name="a"), Worker(name="b", free_memory_mb=100)]
    calls = {
        "hybrid: affinity": Call(affinity="k"),
        "hybrid: resource_aware": Call(needs=Resources(memory_mb=512)),
        "hybrid: shared": Call(),
    }
    for name, call in calls.items():
        assert chosen(Hybrid(), call, *workers).strategy == name
    pools = [Pool(CODER, workers), Pool(CRITIC, workers)]
    assert Hybrid().choose(Call(kind="review"), pools, 0.0, RNG).strategy == "hybrid: capability"


def test_a_pool_counts_what_was_sent_until_the_next_description() -> None:
    pool = Pool(CODER, [Worker(name="a", slots=2, rate=3.0), Worker(name="b", slots=2)], taken_s=10.0)
    for _ in range(8):
        pool.note("a", 10.0)
    pool.note("gone", 10.0)
    assert [worker.load for worker in pool.workers] == [4.0, 0.0]
    # In a second its two slots have finished six tasks.
    pool.note("a", 11.0)
    assert [worker.load for worker in pool.workers] == [1.5, 0.0]


def test_unknown_strategies_and_what_is_none_are_refused() -> None:
    with pytest.raises(SettingsError, match="least_loaded"):
        strategy_of("least_load")
    with pytest.raises(SettingsError, match="neither a strategy nor the name"):
        strategy_of(3)  # type: ignore[arg-type]
    for made in (lambda: Performance(explore=0), lambda: Affinity(miss_cost=-1)):
        with pytest.raises(ValueError, match=r"explore|miss_cost"):
            made()
