"""Bookings on a real server against a naive record: never over, all or nothing, released by death."""

import threading
from itertools import count

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from hive.agents.types import Resources
from hive.resources.booking import Bookings, amounts_of
from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from hive.store.booking import AMOUNTS, BOOKING_LEASE_MS
from tests.conftest import SEED
from tests.support.redis_server import RedisServer

NUMBER = count()
HAS = Resources(cores=2, memory_mb=100, disk_mb=50, network_mbps=10)


class Host:
    """The script under a test's clock, and what a naive record says is held."""

    def __init__(self, server: RedisServer) -> None:
        self.now_ms = 1_700_000_000_000
        self.store = Store(
            server.client(retry=never_repeating()),
            layout=Layout(prefix=f"bookings{next(NUMBER)}-"),
            settings=DeliverySettings(),
            now_ms=lambda: self.now_ms,
        )
        self.held: dict[str, tuple[dict[str, int], int]] = {}

    def living(self) -> dict[str, dict[str, int]]:
        return {holder: amounts for holder, (amounts, ends_ms) in self.held.items() if ends_ms > self.now_ms}


needs = st.builds(
    Resources,
    cores=st.integers(1, 25).map(lambda tenths: tenths / 10),
    memory_mb=st.integers(1, 110),
    disk_mb=st.integers(0, 55),
    network_mbps=st.integers(0, 11),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("book"), st.integers(0, 4), needs),
        st.tuples(st.just("release"), st.integers(0, 4), st.none()),
        st.tuples(st.just("pass"), st.sampled_from([1, BOOKING_LEASE_MS // 2, BOOKING_LEASE_MS]), st.none()),
    ),
    min_size=5,
    max_size=40,
)


@seed(SEED)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=steps)
def test_what_is_booked_is_never_more_than_the_host_has(redis_server: RedisServer, plan: list[tuple]) -> None:  # type: ignore[type-arg]
    host = Host(redis_server)
    has = amounts_of(HAS)
    for kind, number, asked in plan:
        holder = f"agent-{number}"
        if kind == "pass":
            host.now_ms += number
        elif kind == "release":
            assert bool(host.store.unbook("h", [holder])) == (holder in host.held)
            host.held.pop(holder, None)
        else:
            amounts = amounts_of(asked)
            others = {name: sum(held[name] for who, held in host.living().items() if who != holder) for name in AMOUNTS}
            answer = host.store.book("h", holder, amounts, has)
            host.held = {who: entry for who, entry in host.held.items() if entry[1] > host.now_ms}
            assert answer.others == others
            assert answer.was_held == (holder in host.held)
            assert answer.is_booked == all(
                not amounts[name] or others[name] + amounts[name] <= has[name] for name in AMOUNTS
            )
            if answer.is_booked:
                host.held[holder] = dict(amounts), host.now_ms + BOOKING_LEASE_MS
        assert host.store.bookings("h") == host.living()
        assert all(sum(held[name] for held in host.living().values()) <= has[name] for name in AMOUNTS)


def test_many_threads_together_book_no_more_than_there_is(redis_server: RedisServer) -> None:
    layout = Layout(prefix=f"bookings{next(NUMBER)}-")
    booked: list[str] = []

    def book(number: int) -> None:
        store = Store(redis_server.client(retry=never_repeating()), layout=layout, settings=DeliverySettings())
        for attempt in range(20):
            one = amounts_of(Resources(memory_mb=7))
            if store.book("h", f"{number}-{attempt}", one, amounts_of(HAS)).is_booked:
                booked.append(f"{number}-{attempt}")

    threads = [threading.Thread(target=book, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(booked) == 100 // 7


def test_a_refusal_says_the_numbers_and_death_releases(redis_server: RedisServer) -> None:
    host = Host(redis_server)
    dying, other = (Bookings(lambda: host.store, "h", HAS) for _ in range(2))
    most = Resources(cores=1.5, memory_mb=80)
    assert dying.book("reviewer-1", most) is None
    dying.stop()
    refused = other.book("reviewer-2", most)
    assert refused is not None
    assert refused.lacking == {"millicores": (1500, 1500, 2000), "memory": (80, 80, 100)}
    assert str(refused) == (
        "h has no room: 1,500 thousandths of a core asked for, 1,500 of 2,000 booked; "
        "80 MB of memory asked for, 80 of 100 booked"
    )
    assert not refused.is_hopeless
    host.now_ms += BOOKING_LEASE_MS - 1
    dying.run_once()
    host.now_ms += BOOKING_LEASE_MS - 1
    assert other.book("reviewer-2", most) is not None
    host.now_ms += 1
    assert other.book("reviewer-2", most) is None
    other.release("reviewer-2")
    other.release("reviewer-2")
    other.stop()
    assert host.store.bookings("h") == {}
