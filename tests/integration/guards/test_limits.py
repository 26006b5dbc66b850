"""Limits as an application holds them: around blocks and functions, settled, waited for, and while the broker is away."""

import asyncio
import logging
import random
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from hive import Hive, InputError, Limit, LimitedError
from hive.clock import SystemClock
from hive.guards.guard import Answer, GuardedCall
from hive.guards.limits import Limiter, Reservation, WhenAway
from hive.resilience.limiter import ABSENT, Unit
from hive.runtime.guarding.limited import limits_of
from hive.settings.model import Settings
from hive.settings.parts import LimitSettings
from hive.store.limiting import Refused
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

NUMBER = count()


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[Hive]:
    app = Hive("limits", broker=redis_server.url, backend=redis_server.url, settings=Settings())
    app.conf.broker_transport_options = {"global_keyprefix": f"holds{next(NUMBER)}-"}
    yield app
    app.limits.limiter.places.stop()


def used(app: Hive) -> dict[str, float]:
    return {one.name: one.used for one in app.access.store.limits()}


def test_a_block_reserves_by_estimate_and_settles_by_use(app: Hive) -> None:
    tokens = Limit.tokens(1_000, per_s=60, key="{tenant}", estimate=400)
    money = Limit.money(1.5, per_s=60, key="{tenant}", estimate=0.25)
    with app.limits.hold(tokens, money, tenant="t7") as held:
        assert used(app) == {"tokens:60000:t7": 400, "money:60000:t7": 0.25}
        held.settle(tokens=150, money=0.125)
        held.settle(tokens=900)
    with app.limits.hold(tokens, tokens=100, tenant="t7"):
        assert used(app) == {"tokens:60000:t7": 250, "money:60000:t7": 0.125}
    with app.limits.hold(tokens, tenant="t7") as held:
        held.settle(tokens=1_000)
    # More was used than is allowed, so nothing is granted until it has left the window.
    with pytest.raises(LimitedError) as refused, app.limits.hold(tokens, tenant="t7", wait_s=1):
        pass
    assert 50 < refused.value.retry_after_s <= 61
    with app.limits.hold(tokens, tenant="other", wait_s=0):
        assert used(app)["tokens:60000:other"] == 400


def test_who_finds_no_room_waits_for_his_turn(app: Hive) -> None:
    limit = Limit.requests(5, per_s=0.2, key="{name}")
    clock = SystemClock()
    begun_s = clock.monotonic_s()

    @app.limits.limited(limit)
    def call(name: str) -> str:
        return name

    assert [call("model") for _ in range(15)] == ["model"] * 15
    assert clock.monotonic_s() - begun_s >= 0.4


def test_coroutines_hold_limits_without_blocking_their_loop(app: Hive) -> None:
    place = Limit.concurrency(2, key="{name}")
    at_once, most = 0, 0

    @app.limits.limited(place)
    async def call(name: str) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        at_once -= 1

    async def run() -> None:
        await asyncio.gather(*(call("model") for _ in range(8)))
        async with app.limits.hold(place, name="model", wait_s=5) as held:
            held.settle(tokens=1)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert most == 2
    assert used(app)["concurrency:model"] == 0


def test_a_place_is_given_back_when_the_block_fails_and_renewed_until_then(app: Hive) -> None:
    place = Limit.concurrency(1, key="k")

    @app.limits.limited(place)
    def fail() -> None:
        app.limits.limiter.places.run_once()
        assert used(app)["concurrency:k"] == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert used(app)["concurrency:k"] == 0
    names = {thread.name for thread in threading.enumerate()}
    assert "hive-limits" in names
    app.limits.limiter.places.stop()
    app.limits.limiter.places.stop()


@pytest.mark.parametrize(
    ("when_away", "granted"), [(WhenAway.LOCAL, 10), (WhenAway.REFUSE, 0)], ids=["a fraction", "nothing"]
)
def test_while_the_broker_is_away_a_process_grants_a_fraction_or_nothing_and_says_so(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture, when_away: WhenAway, granted: int
) -> None:
    settings = Settings(limits=LimitSettings(when_away=when_away.value, local_fraction=0.1))
    app = Hive("away", broker=own_redis.url, backend=own_redis.url, settings=settings)
    limits = [Limit.requests(100, per_s=60, key="k"), Limit.concurrency(200, key="k")]
    limiter = app.limits.limiter
    first = limiter.reserve(limits, {})
    assert isinstance(first, Reservation)
    own_redis.stop(kill=True)
    with caplog.at_level(logging.WARNING):
        answers = [limiter.reserve(limits, {}) for _ in range(15)]
        assert sum(isinstance(answer, Reservation) for answer in answers) == granted
        assert all(answer.again_ms > answer.now_ms for answer in answers if isinstance(answer, Refused))
        for answer in answers:
            if isinstance(answer, Reservation):
                limiter.settle(answer, {Unit.TOKENS: 1})
                limiter.release(answer)
        limiter.release(first)
        own_redis.start()
        eventually(lambda: isinstance(limiter.reserve(limits[:1], {}), Reservation) and "is back" in caplog.text)
    limiter.places.stop()
    assert caplog.text.count("the broker is away") == 1
    assert ("0.1 of every limit" if granted else "nothing") in caplog.text


@pytest.mark.parametrize("estimate", [0, -1, "missing", "text", True, 101], ids=repr)
def test_what_could_never_be_granted_is_an_error(app: Hive, estimate: object) -> None:
    with (
        pytest.raises(InputError),
        app.limits.hold(
            Limit.tokens(100, per_s=1, key="k", estimate=estimate),
            text="many",  # type: ignore[arg-type]
        ),
    ):
        pass


def test_keys_are_made_of_arguments_and_a_missing_one_is_shared() -> None:
    limit = Limit.requests(1, per_s=1, key="{provider}/{model}:{tenant}")
    assert limit.name_for({"provider": "p", "model": 4, "tenant": "t"}) == "requests:1000:p/4:t"
    assert limit.name_for({"provider": "p"}) == f"requests:1000:p/{ABSENT}:{ABSENT}"
    with pytest.raises(InputError):
        Limit.requests(1, per_s=1, key="{broken").name_for({})


def test_threads_share_a_limiter(app: Hive, rng: random.Random) -> None:
    limit = Limit.requests(50, per_s=60, key="shared")
    limiter: Limiter = app.limits.limiter
    granted: list[bool] = []

    def ask(number: int) -> None:
        granted.extend(isinstance(limiter.reserve([limit], {}), Reservation) for _ in range(number))

    threads = [threading.Thread(target=ask, args=(rng.randrange(10, 20),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 50


def test_a_retry_does_not_run_in_the_place_that_its_last_attempt_gives_back(app: Hive) -> None:
    @app.task(shared=False, name="one_at_a_time", limits=[Limit.concurrency(1, key="place")])
    def one_at_a_time() -> None: ...

    (guard,) = limits_of(app, one_at_a_time)
    first, retry, other = (
        GuardedCall(id=id_, task="one_at_a_time", queue="celery", retries=retries, arguments=lambda: ((), {}))
        for id_, retries in (("a", 0), ("a", 1), ("b", 0))
    )
    assert guard.ask(first).answer is Answer.RUN
    # The retry was published before its worker heard that the first attempt has ended.
    assert guard.ask(retry).answer is Answer.WAIT
    guard.ended(first, ConnectionError())
    eventually(lambda: guard.ask(retry).answer is Answer.RUN)
    guard.ended(first, ConnectionError())
    assert guard.ask(other).answer is Answer.WAIT
    guard.ended(retry, None)
    eventually(lambda: guard.ask(other).answer is Answer.RUN)


def test_what_a_frozen_worker_gives_back_when_it_is_back_is_not_the_place_of_who_runs_it_now(app: Hive) -> None:
    @app.task(shared=False, name="alone", exclusive="repository")
    def alone() -> None: ...

    ((frozen,), (living,), (third,)) = (limits_of(app, alone) for _ in range(3))
    first, again, other = (
        GuardedCall(id=id_, task="alone", queue="q", retries=0, arguments=lambda: ((), {}), where=f"q worker {token}")
        for id_, token in (("a", 1), ("a", 2), ("b", 3))
    )
    assert frozen.ask(first).answer is Answer.RUN
    # Its worker froze: nobody renews its place, and the task is delivered again.
    app.limits.limiter.places.stop()
    app.access.store.release_places(first.holder, ["concurrency:exclusive:repository"], 1)
    eventually(lambda: living.ask(again).answer is Answer.RUN)
    frozen.release(first)
    assert third.ask(other).answer is Answer.WAIT
    living.ended(again, None)
    eventually(lambda: third.ask(other).answer is Answer.RUN)
    third.ended(other, None)
