"""What the fleet shares about retries, on a real broker: budgets, outcomes, and those that wait for a dependency."""

import random
from collections.abc import Callable

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hive.resilience.adaptive import CELL_FULL, Outcomes
from hive.resilience.budget import RetryAccount, RetryBudget
from hive.settings.parts import DeliverySettings
from hive.store.keys import Layout
from hive.store.store import Store
from hive.store.values import Outgoing
from tests.support.redis_server import RedisServer

PARK = {"probe_s": 1.0, "hold_s": 300.0, "per_s": 10.0}


class Clock:
    """The broker's time, moved by the test; what it stores expires by the real one."""

    def __init__(self, start_ms: int) -> None:
        self.now_ms = start_ms

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock(redis_server: RedisServer) -> Clock:
    seconds, _ = redis_server.client().time()
    return Clock(seconds * 1000)


@pytest.fixture
def store(redis_server: RedisServer, clock: Clock, request: pytest.FixtureRequest) -> Store:
    client: redis.Redis = redis_server.client(retry=Retry(NoBackoff(), 0))
    layout = Layout(prefix=f"{request.node.name}:")
    return Store(client, layout=layout, settings=DeliverySettings(), now_ms=clock)


def test_the_fleets_account_is_the_one_a_process_keeps(store: Store, clock: Clock, rng: random.Random) -> None:
    budget = RetryBudget(share=0.3, min_per_s=2.0, window_s=5.0)
    start_ms = clock.now_ms
    account = RetryAccount(budget, 0.0)
    for _ in range(200):
        clock.now_ms += rng.randrange(0, 400)
        attempts = rng.randrange(0, 4)
        shared_s = store.draw_retry("provider", budget, attempts)
        assert shared_s == pytest.approx(account.draw((clock.now_ms - start_ms) / 1000, attempts), abs=0.002)


def test_outcomes_are_counted_and_bounded(store: Store) -> None:
    for _ in range(3 * CELL_FULL):
        store.learn_retry("t", "network", (0, 4), done=True)
    store.learn_retry("t", "network", (2, 3), done=False)

    outcomes = Outcomes.of(store.retry_outcomes("t", "network"))
    assert outcomes.cells[2, 3] == (0.0, 1.0)
    good, bad = outcomes.cells[0, 4]
    assert CELL_FULL / 2 < good <= CELL_FULL
    assert bad == 0
    assert store.retry_outcomes("t", "timeout") == {}
    assert store.client.pttl(store._retry_key("outcomes", "t:network")) > 0


def publish(store: Store, clock: Clock, id_: str, failed_id: str = "first", queue: str = "q") -> bool:
    """Park a retry and publish it, as a failing task does; say whether it probes."""
    parked = store.park_retry("provider", failed_id, id_, queue, **PARK)
    store.publish(Outgoing(queue=queue, payload=b"{}", message_id=id_, due_ms=parked.due_ms))
    return parked.is_probe


def due_in_s(store: Store, clock: Clock, queue: str = "q") -> dict[str, float]:
    return {one.message_id: (one.due_ms - clock.now_ms) / 1000 for one in store.scheduled(queue)}


def test_one_probes_and_goes_on_probing_while_the_others_are_held(store: Store, clock: Clock) -> None:
    assert publish(store, clock, "a1")
    assert not publish(store, clock, "b1")
    assert not publish(store, clock, "c1")
    assert not publish(store, clock, "d1")
    # The second stands in for the probe.
    assert due_in_s(store, clock) == pytest.approx({"a1": 1.0, "b1": 31.0, "c1": 300.0, "d1": 300.1})
    clock.now_ms += 1000
    assert publish(store, clock, "a2", failed_id="a1")
    assert store.held_retries("provider") == 3
    # The probe lives: the stand-in has tried in vain, and stands in again.
    clock.now_ms += 30_500
    assert not publish(store, clock, "b2", failed_id="b1")
    assert due_in_s(store, clock)["b2"] == pytest.approx(0.5)
    # The probe is lost: whoever fails after its grace is the next.
    clock.now_ms += 1_500
    assert publish(store, clock, "b3", failed_id="b2")


def test_release_paces_over_all_queues_and_callers(store: Store, clock: Clock) -> None:
    publish(store, clock, "probe")
    for place in range(20):
        publish(store, clock, f"m{place}", queue=f"q{place % 2}")

    assert store.release_retries("provider", 10.0) == 5
    assert [store.release_retries("provider", 10.0, begun=5, answered=False) for _ in range(4)] == [5, 5, 5, 0]
    dues = sorted([*due_in_s(store, clock, "q0").values(), *due_in_s(store, clock, "q1").values()])
    assert dues == pytest.approx([place / 10 for place in range(20)], abs=0.002)
    publish(store, clock, "again")
    publish(store, clock, "late")
    assert store.release_retries("provider", 10.0, begun=5) == 1
    assert due_in_s(store, clock)["late"] == pytest.approx(2.0, abs=0.002)


def test_nothing_more_is_released_while_workers_begin_nothing(store: Store, clock: Clock) -> None:
    publish(store, clock, "probe")
    for place in range(30):
        publish(store, clock, f"m{place}")
    assert store.release_retries("provider", 10.0) == 5
    # Held up: whoever else calls, and however often, no more than half a second's worth lies ready for them.
    clock.now_ms += 3000
    assert [store.release_retries("provider", 10.0) for _ in range(3)] == [0, 0, 0]
    assert store.release_retries("provider", 10.0, begun=2, answered=False) == 2
    assert sum(due > 0 for due in due_in_s(store, clock).values()) == 30 - 5 - 2 + 1
    # One of them fails, and probes: the others wait for what becomes of that.
    assert publish(store, clock, "n1")
    assert store.release_retries("provider", 10.0, begun=3, answered=False) == 0
    assert store.release_retries("provider", 10.0) == 3
    # What was released is lost (revoked, say): after a while the others go on without it.
    clock.now_ms += 6000
    assert store.release_retries("provider", 10.0) == 5


def test_what_is_being_parked_while_others_are_released_is_not_forgotten(store: Store, clock: Clock) -> None:
    publish(store, clock, "probe")
    parked = store.park_retry("provider", "x", "slow", "q", **PARK)
    assert store.release_retries("provider", 10.0) == 0
    store.publish(Outgoing(queue="q", payload=b"{}", message_id="slow", due_ms=parked.due_ms))
    assert store.release_retries("provider", 10.0) == 1
    assert due_in_s(store, clock)["slow"] < 1


@pytest.mark.parametrize("crash_after", ["retry_release", "retry_advance"])
def test_a_release_that_dies_halfway_leaves_every_message_with_a_time(
    store: Store, clock: Clock, crash_after: str
) -> None:
    class KilledError(Exception):
        pass

    def at(script: str, moment: str) -> None:
        if (script, moment) == (crash_after, "after"):
            raise KilledError

    publish(store, clock, "probe")
    for place in range(5):
        publish(store, clock, f"m{place}")
    killed: Callable[[str, str], None] | None = at
    store.at = killed
    with pytest.raises(KilledError):
        store.release_retries("provider", 10.0)
    assert len(due_in_s(store, clock)) == 6
    assert max(due_in_s(store, clock).values()) <= 301
