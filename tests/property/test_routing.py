"""What holds for every set of workers: keys stay, nobody starves, nobody herds."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hive.agents.types import AgentType
from hive.routing.affinity import Affinity
from hive.routing.candidates import Call, Pool, Worker
from hive.routing.least_loaded import LeastLoaded
from hive.routing.named import STRATEGIES, strategy_of
from hive.routing.performance import Performance
from hive.routing.resource_aware import ResourceAware

CODER = AgentType(name="coder")
few = settings(max_examples=25, deadline=None)

names = st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=20, unique=True)
shares = st.floats(0, 1)
workers = st.builds(
    Worker,
    name=st.text(min_size=1, max_size=8),
    slots=st.integers(1, 16),
    busy=st.integers(0, 16),
    queued=st.integers(0, 100),
    rate=st.none() | st.floats(0, 1e6),
    failed_share=shares,
    cpu=shares,
    memory=shares,
    free_memory_mb=st.floats(0, 1e6),
)
crowds = st.lists(workers, min_size=1, max_size=20, unique_by=lambda worker: worker.name)


def homes(present, keys):
    pool = Pool(CODER, [Worker(name=name) for name in present])
    return {key: Affinity().choose(Call(affinity=key), (pool,), 0.0, random.Random(0)).worker for key in keys}


@few
@given(names, st.data())
def test_only_the_keys_of_a_worker_that_goes_or_comes_move(present, data) -> None:
    gone = data.draw(st.sampled_from(present))
    keys = [f"key-{number}" for number in range(100)]
    before, after = homes(present, keys), homes([name for name in present if name != gone], keys)
    assert all(before[key] == after[key] for key in keys if before[key] != gone)
    # The order in which workers are known does not matter, so every process sends a key to the same one.
    assert homes(list(reversed(present)), keys) == before


@few
@given(st.integers(2, 40), st.integers(0, 1000))
def test_keys_are_spread_evenly(count, salt) -> None:
    found = Counter(homes([f"{salt}@{n}" for n in range(count)], [f"{salt}-{n}" for n in range(20 * count)]).values())
    # 20 each on average; eight times the spread of chance.
    assert len(found) == count
    assert max(found.values()) < 20 + 8 * 20**0.5


@few
@given(crowds, st.integers(0, 2**32))
def test_performance_starves_nobody(crowd, seed) -> None:
    pool, rng = Pool(CODER, crowd), random.Random(seed)
    strategy = Performance(explore=0.5)
    floor = 0.5 / len(crowd)
    assert all(strategy.score(Call(), pool, worker) >= floor * 0.999 for worker in crowd)
    found = Counter(strategy.choose(Call(), (pool,), 0.0, rng).worker for _ in range(60 * len(crowd)))
    assert set(found) == {worker.name for worker in crowd}


@pytest.mark.parametrize("strategy", [LeastLoaded(), ResourceAware(), Performance()], ids=lambda one: one.name)
@few
@given(st.integers(4, 50), st.integers(0, 2**32))
def test_a_burst_on_one_old_snapshot_makes_no_herd(strategy, count, seed) -> None:
    """Everybody has one look at the same figures; the idlest worker must not get it all."""
    rng = random.Random(seed)
    pool = Pool(CODER, [Worker(name=str(n), queued=n, cpu=n / 100) for n in range(count)])
    calls = 100 * count
    found = Counter(strategy.choose(Call(), (pool,), 0.0, rng).worker for _ in range(calls))
    # Two choices give the best at most 2 / count of them; with the spread of chance.
    assert max(found.values()) <= calls * 2 / count + 8 * (calls * 2 / count) ** 0.5


@pytest.mark.parametrize("name", STRATEGIES)
@few
@given(crowds, st.none() | st.text(max_size=8), st.integers(0, 10**6), st.integers(0, 2**32))
def test_same_arguments_same_decision_and_only_workers_that_are_there(name, crowd, key, number, seed) -> None:
    strategy, pool = strategy_of(name), Pool(CODER, crowd)
    call = Call(affinity=key, number=number)
    decisions = [strategy.choose(call, (pool,), 0.0, random.Random(seed)) for _ in range(2)]
    assert decisions[0] == decisions[1]
    assert decisions[0].worker in {None, *(worker.name for worker in crowd)}
    for worker in crowd:
        assert isinstance(strategy.score(call, pool, worker), float | int)
