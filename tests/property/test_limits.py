"""Limits on a real server against a naive log of every grant: never over in any window, nearly all of it used, in turn."""

import random
from itertools import count, pairwise

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from hive.resilience.limiter import SlidingWindow, slice_ms
from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.limiting import Granted, Refused, Wanted
from tests.conftest import SEED
from tests.support.redis_server import RedisServer

NUMBER = count()
WINDOWS = {"requests:1000:a": (10, 1000), "tokens:1000:a": (1000, 1000), "tokens:250:b": (300, 250)}


class Fleet:
    """The scripts under a test's clock."""

    def __init__(self, server: RedisServer) -> None:
        self.now_ms = 1_700_000_000_000
        self.store = Store(
            server.client(retry=never_repeating()),
            layout=Layout(prefix=f"limits{next(NUMBER)}-"),
            settings=DeliverySettings(),
            now_ms=lambda: self.now_ms,
        )
        #: Every grant: limit -> list of [when, how much].
        self.log: dict[str, list[list[int]]] = {name: [] for name in WINDOWS}

    def wanted(self, amounts: dict[str, int]) -> list[Wanted]:
        return [
            Wanted(name=name, most=WINDOWS[name][0], window_ms=WINDOWS[name][1], amount=amount)
            for name, amount in amounts.items()
        ]

    def held(self, name: str, at_ms: int) -> int:
        """What the window that ends at an instant holds, counted one by one."""
        return sum(amount for granted_ms, amount in self.log[name] if at_ms - WINDOWS[name][1] < granted_ms <= at_ms)


amounts = st.fixed_dictionaries(
    {}, optional={name: st.integers(1, max(most // 2, 1)) for name, (most, _) in WINDOWS.items()}
).filter(bool)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 6), amounts),
        st.tuples(st.just("settle"), st.integers(0, 100), st.integers(0, 100)),
        st.tuples(st.just("pass"), st.integers(0, 600), st.none()),
    ),
    max_size=60,
)


@seed(SEED)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=steps)
def test_no_sliding_window_ever_holds_more_than_the_limit(redis_server: RedisServer, plan: list[tuple]) -> None:  # type: ignore[type-arg]
    fleet = Fleet(redis_server)
    open_: list[tuple[Wanted, int, list[int]]] = []
    for kind, first, second in plan:
        if kind == "pass":
            fleet.now_ms += first
        elif kind == "settle" and open_:
            wanted, place, entry = open_.pop(first % len(open_))
            used = wanted.amount * second // 100
            fleet.store.settle_limits([(wanted, place, used)])
            entry[1] = used
        elif kind == "reserve":
            wanted_all = fleet.wanted(second)
            answer = fleet.store.reserve_limits(f"who{first}", wanted_all)
            if isinstance(answer, Refused):
                assert answer.again_ms > fleet.now_ms
                continue
            for wanted, place in zip(wanted_all, answer.slices, strict=True):
                entry = [fleet.now_ms, wanted.amount]
                fleet.log[wanted.name].append(entry)
                open_.append((wanted, place, entry))
        for name, (most, _) in WINDOWS.items():
            assert fleet.held(name, fleet.now_ms) <= most


@seed(SEED)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.integers(0, 120), min_size=1, max_size=120), amount=st.integers(1, 400))
def test_the_script_grants_what_the_arithmetic_of_one_process_grants(
    redis_server: RedisServer, gaps: list[int], amount: int
) -> None:
    fleet, alone = Fleet(redis_server), SlidingWindow(1000, 1000)
    for number, gap_ms in enumerate(gaps):
        fleet.now_ms += gap_ms
        fits = alone.room_at_ms(amount, fleet.now_ms) == fleet.now_ms
        # Each asks once, and none is in line whose turn has come: those who were told to come again stay away.
        fleet.store.client.delete(fleet.store._limit_key("tokens:1000:a", "line"))
        answer = fleet.store.reserve_limits(f"who{number}", fleet.wanted({"tokens:1000:a": amount}))
        assert isinstance(answer, Granted) is fits
        if fits:
            alone.grant(amount, fleet.now_ms)


def test_all_or_nothing_and_the_reply_names_what_decided(redis_server: RedisServer) -> None:
    fleet = Fleet(redis_server)
    assert isinstance(fleet.store.reserve_limits("w", fleet.wanted({"tokens:250:b": 300})), Granted)
    refused = fleet.store.reserve_limits("x", fleet.wanted({"requests:1000:a": 1, "tokens:250:b": 1}))
    assert isinstance(refused, Refused)
    assert refused.name == "tokens:250:b"
    assert {one.name: one.used for one in fleet.store.limits()}["requests:1000:a"] == 0


@pytest.mark.parametrize("share", [1.0, 0.5], ids=["as estimated", "half of the estimate"])
def test_callers_that_come_when_told_use_the_limit_and_keep_their_order(
    redis_server: RedisServer, rng: random.Random, share: float
) -> None:
    """Sixty wait at any time, come up to 20 ms late, and one in fifty never comes again."""
    fleet, limits = Fleet(redis_server), {"requests:1000:a": 1, "tokens:1000:a": 100}
    begun_ms, tries, served = fleet.now_ms, 0, list[int]()
    due = [(begun_ms, number) for number in range(60)]
    number = len(due)
    while fleet.now_ms < begun_ms + 20_000:
        due.sort()
        fleet.now_ms, who = max(fleet.now_ms, due[0][0]), due.pop(0)[1]
        tries += 1
        wanted = fleet.wanted(limits)
        answer = fleet.store.reserve_limits(f"who{who}", wanted)
        if isinstance(answer, Granted):
            served.append(who)
            used = round(100 * share)
            fleet.store.settle_limits([(wanted[1], answer.slices[1], used)])
            fleet.log["requests:1000:a"].append([fleet.now_ms, 1])
            fleet.log["tokens:1000:a"].append([fleet.now_ms, used])
        elif rng.random() > 0.02:
            due.append((answer.again_ms + rng.randrange(20), who))
            continue
        due.append((fleet.now_ms, number))
        number += 1
    granted = sum(amount for _, amount in fleet.log["requests:1000:a"])
    for name in limits:
        assert all(fleet.held(name, at_ms) <= WINDOWS[name][0] for at_ms, _ in fleet.log[name])
    assert granted >= 0.95 * 10 * 20
    # No herd: hardly anybody asks more than twice.
    assert tries <= 2.6 * granted + 60
    later = sum(right < left - 5 for left, right in pairwise(served))
    # Who comes anew may use what those leave who never come again.
    assert later <= 0.25 * len(served)


def test_a_line_nobody_comes_from_any_more_is_given_up(redis_server: RedisServer) -> None:
    fleet = Fleet(redis_server)
    limits = {"requests:1000:a": 1}
    for number in range(500):
        last = fleet.store.reserve_limits(f"gone{number}", fleet.wanted(limits))
    assert isinstance(last, Refused)
    assert last.again_ms > fleet.now_ms + 40_000
    waits = []
    for number in range(400):
        answer = fleet.store.reserve_limits(f"new{number}", fleet.wanted(limits))
        waits.append(answer.again_ms - fleet.now_ms if isinstance(answer, Refused) else 0)
        fleet.now_ms += 110
    assert max(waits[-100:]) <= 1500


def test_time_that_runs_backwards_forgets_nothing(redis_server: RedisServer) -> None:
    fleet = Fleet(redis_server)
    for number in range(10):
        assert isinstance(fleet.store.reserve_limits(f"w{number}", fleet.wanted({"requests:1000:a": 1})), Granted)
    fleet.now_ms -= 3_600_000
    refused = fleet.store.reserve_limits("x", fleet.wanted({"requests:1000:a": 1}))
    assert isinstance(refused, Refused)
    assert refused.again_ms - fleet.now_ms <= 1000 + 2 * slice_ms(1000)


def test_a_key_costs_a_few_kilobytes_however_much_it_grants(redis_server: RedisServer, rng: random.Random) -> None:
    fleet = Fleet(redis_server)
    most = 1_000_000
    for number in range(3_000):
        fleet.store.reserve_limits(f"w{number}", [Wanted(name="tokens:1000:m", most=most, window_ms=1000, amount=37)])
        fleet.now_ms += rng.randrange(4)
    assert fleet.store.client.memory_usage(fleet.store._limit_key("tokens:1000:m", "state")) < 4_000


def test_places_end_with_their_lease_are_renewed_and_given_back_once(redis_server: RedisServer) -> None:
    fleet = Fleet(redis_server)
    place = [Wanted(name="concurrency:k", most=2, window_ms=0)]
    answers = [fleet.store.reserve_limits(who, place) for who in ("dead", "alive", "late", "dead")]
    assert [isinstance(answer, Granted) for answer in answers] == [True, True, False, True]
    fleet.now_ms += 5_000
    assert fleet.store.renew_places([("alive", "concurrency:k")]) == 0
    fleet.now_ms += 1_500
    assert isinstance(fleet.store.reserve_limits("late", place), Granted)
    assert isinstance(fleet.store.reserve_limits("later", place), Refused)
    assert fleet.store.release_places("alive", ["concurrency:k"], 100) == 1
    assert fleet.store.release_places("alive", ["concurrency:k"], 100) == 0
    assert isinstance(fleet.store.reserve_limits("later", place), Granted)
