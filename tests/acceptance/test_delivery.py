"""Real workers on a real broker: nothing is lost, nothing runs twice for want of a lease, whatever is killed or cut."""

import signal
from datetime import UTC, datetime
from typing import Any

import pytest
from billiard.exceptions import TimeLimitExceeded

from hive.clock import SystemClock
from hive.errors import MessageTooLargeError
from hive.testing.proxy import FaultProxy
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import QUICK, WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


def call(app: Any, name: str, *args: Any, **options: Any) -> Any:
    return app.send_task(f"tests.support.delivery_app.{name}", args, **options)


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_tasks_results_retries_and_canvas_work_on_every_pool(app: Any, own_redis: RedisServer, pool: str) -> None:
    with WorkerProcess(own_redis, pool=pool).ready():
        results = [call(app, "add", n, n) for n in range(50)]
        assert [result.get(timeout=60) for result in results] == [2 * n for n in range(50)]
        assert call(app, "again", 2, 0.1).get(timeout=60) == 2
        assert call(app, "put_back").get(timeout=60) == "redelivered"
        add = app.signature("tests.support.delivery_app.add")
        assert (add.clone((1, 2)) | add.clone((3,)) | add.clone((4,))).apply_async().get(timeout=60) == 10
    assert len(traces(own_redis)) == 50 + 3 + 2 + 3


def test_a_killed_worker_s_tasks_run_again_within_seconds(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, concurrency=4).ready() as first:
        running = [call(app, "nap", 0.5) for _ in range(40)]
        eventually(lambda: len(traces(own_redis)) >= 4)
        with WorkerProcess(own_redis, concurrency=20).ready():
            first.kill()
            assert all(result.get(timeout=60) for result in running)
    counts = {id_: traces(own_redis).count(id_) for id_ in traces(own_redis)}
    assert len(counts) == 40
    assert max(counts.values()) <= 2
    assert own_redis.client().zcard("{celery}:hive:dead") == 0


def test_a_task_that_kills_its_worker_is_a_dead_letter_after_three_starts_and_its_neighbours_are_done(
    app: Any, own_redis: RedisServer
) -> None:
    killer = call(app, "kill_process")
    neighbours = [call(app, "add", n, 1) for n in range(30)]
    for _ in range(3):
        with WorkerProcess(own_redis, environment=QUICK) as worker:
            worker.process.wait(60)
    with WorkerProcess(own_redis, environment=QUICK):
        eventually(lambda: own_redis.client().zcard("{celery}:hive:dead") == 1)
        assert [result.get(timeout=60) for result in neighbours] == [n + 1 for n in range(30)]
    assert traces(own_redis).count(killer.id) == 3


def test_a_task_whose_process_died_is_told_that_it_is_redelivered(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, pool="prefork").ready():
        result = call(app, "die_once")
        assert result.get(timeout=60) == "redelivered"
    assert traces(own_redis).count(result.id) == 2


def test_a_lost_pool_child_counts_and_others_go_on(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, pool="prefork").ready():
        killer = call(app, "kill_process")
        eventually(lambda: own_redis.client().zcard("{celery}:hive:dead") == 1)
        assert call(app, "add", 1, 1).get(timeout=60) == 2
    assert traces(own_redis).count(killer.id) == 3


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_running_task_survives_the_broker_s_restart_and_is_acknowledged(
    app: Any, own_redis: RedisServer, pool: str
) -> None:
    with WorkerProcess(own_redis, pool=pool).ready():
        naps = [call(app, "nap", 4) for _ in range(2)]
        waiting = [call(app, "add", n, 1) for n in range(20)]
        eventually(lambda: len(traces(own_redis)) == 2)
        own_redis.restart(kill=True)
        eventually(lambda: len(traces(own_redis)) == 22)
        assert all(result.get(timeout=60) for result in naps)
        eventually(lambda: own_redis.client().keys("*inflight*") == [])
    starts = traces(own_redis)
    assert sorted(starts) == sorted(result.id for result in naps + waiting)


@pytest.mark.parametrize("pool", ["prefork", "threads", "custom"])
def test_what_the_pool_has_not_begun_when_the_lease_is_lost_does_not_begin(
    app: Any, own_redis: RedisServer, pool: str
) -> None:
    handed = {
        "DELIVERY_HANDS": "6", "HIVE_DELIVERY_LEASE_S": "20", "CELERY_CUSTOM_WORKER_POOL": "hive.pools:AsyncioPool",
    }  # fmt: skip
    options = ("--prefetch-multiplier", "10")
    with WorkerProcess(own_redis, pool=pool, concurrency=1, environment=handed, options=options).ready() as worker:
        running = call(app, "wait_for", "end")
        eventually(lambda: traces(own_redis) == [running.id])
        waiting = [call(app, "add", n, 1) for n in range(5)]
        eventually(lambda: own_redis.client().keys("*hive:started*") and _started(own_redis) == 6)
        own_redis.client().rpush("lose", 1)
        own_redis.client().blpop(["lost"], 10)
        own_redis.client().rpush("end", *range(5))
        # In its next life it consumes on; what it held in the last one is nobody's until that lease ends.
        assert [call(app, "add", n, n).get(timeout=60) for n in range(10)] == [2 * n for n in range(10)]
        started = set(traces(own_redis))
        assert not [place for place, result in enumerate(waiting) if result.id in started], worker.text()
        assert worker.process.poll() is None


def test_a_task_that_never_yields_keeps_its_lease_under_gevent(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, pool="gevent", concurrency=10, environment=QUICK).ready() as worker:
        results = [call(app, "compute", 4.5) for _ in range(2)]
        eventually(lambda: traces(own_redis))
        with WorkerProcess(own_redis, environment=QUICK).ready() as other:
            assert [result.get(timeout=60) for result in results] == ["computed"] * 2
            assert "is gone" not in other.text()
        assert [call(app, "add", n, 1).get(timeout=60) for n in range(10)] == list(range(1, 11))
        assert call(app, "again", 2, 0.1).get(timeout=60) == 2
        assert "lease lost" not in worker.text()
        worker.signal(signal.SIGTERM)
        assert worker.process.wait(60) == 0, worker.text()[-2500:]
    starts = traces(own_redis)
    assert [starts.count(result.id) for result in results] == [1] * 2


def test_a_hard_time_limit_is_one_failure_and_nothing_is_refused(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, pool="prefork").ready() as worker:
        result = call(app, "too_long")
        with pytest.raises(TimeLimitExceeded):
            result.get(timeout=60)
        assert call(app, "add", 1, 2).get(timeout=60) == 3
        eventually(lambda: own_redis.client().keys("*inflight*") == [])
        assert "refused" not in worker.text()
    assert own_redis.client().hget("{celery}:hive:counters", "refused") is None


def _started(server: RedisServer) -> int:
    return sum(server.client().hlen(key) for key in server.client().keys("*hive:started*"))


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_stopped_worker_hands_back_what_it_has_not_started(app: Any, own_redis: RedisServer, pool: str) -> None:
    with WorkerProcess(own_redis, pool=pool, concurrency=1).ready() as first:
        long = call(app, "wait_for", "end")
        eventually(lambda: len(traces(own_redis)) == 1)
        waiting = [call(app, "add", n, 1) for n in range(3)]
        first.signal(signal.SIGTERM)
        with WorkerProcess(own_redis):
            assert [result.get(timeout=60) for result in waiting] == [1, 2, 3]
            assert not long.ready()
            own_redis.client().rpush("end", 1)
            long.get(timeout=60)
        assert first.process.wait(60) == 0
    assert len(traces(own_redis)) == 4


def test_without_prefetching_a_worker_takes_only_what_it_has_slots_for(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, concurrency=2, options=("--disable-prefetch",)).ready():
        results = [call(app, "wait_for", "end") for _ in range(8)]
        eventually(lambda: len(traces(own_redis)) == 2)
        assert own_redis.client().llen("celery") == 6
        own_redis.client().rpush("end", *range(8))
        for result in results:
            result.get(timeout=60)
    assert len(traces(own_redis)) == 8


def test_of_tasks_that_take_long_a_worker_takes_no_more_than_it_can_begin(app: Any, own_redis: RedisServer) -> None:
    options = ("--prefetch-multiplier", "4")
    with WorkerProcess(own_redis, pool="threads", concurrency=2, options=options).ready():
        waiting = [call(app, "wait_for", "end") for _ in range(12)]
        eventually(lambda: len(traces(own_redis)) == 2)
        assert own_redis.client().llen("celery") == 10
        own_redis.client().rpush("end", 1)
        eventually(lambda: len(traces(own_redis)) == 3)
        assert own_redis.client().llen("celery") == 9
        own_redis.client().rpush("end", *range(11))
        assert [result.get(timeout=60) for result in waiting] == [None] * 12


def test_what_a_frozen_worker_finishes_after_its_lease_is_refused(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis, concurrency=1, environment=QUICK).ready() as frozen:
        nap = call(app, "nap", 1.5)
        eventually(lambda: len(traces(own_redis)) == 1)
        frozen.signal(signal.SIGSTOP)
        with WorkerProcess(own_redis, concurrency=1, environment=QUICK).ready() as other:
            eventually(lambda: len(traces(own_redis)) == 2)
            frozen.signal(signal.SIGCONT)
            assert nap.get(timeout=60) == f"{nap.id} {other.process.pid}"
            eventually(lambda: "no longer ours" in frozen.text())
    assert int(own_redis.client().hget("{celery}:hive:counters", "refused") or 0) >= 1


def test_eta_tasks_wait_on_the_broker_and_come_on_time(app: Any, own_redis: RedisServer) -> None:
    later = [call(app, "add", n, 1, countdown=1.5) for n in range(10)]
    assert own_redis.client().zcard("{celery}:hive:scheduled") == 10
    assert own_redis.client().llen("celery") == 0
    with WorkerProcess(own_redis).ready():
        assert [result.get(timeout=60) for result in later] == [n + 1 for n in range(10)]


def test_consuming_goes_on_after_resets_lost_replies_and_a_black_hole(app: Any, own_redis: RedisServer) -> None:
    # With the heartbeat, which the event loop sends: it would wait in it, and say nothing, for as long as nobody answers.
    with (
        FaultProxy("127.0.0.1", own_redis.port) as proxy,
        WorkerProcess(own_redis, url=proxy.url).ready() as worker,
    ):
        for cut in (proxy.reset, lambda: proxy.cut_reply("EVALSHA"), lambda: proxy.cut_reply("BLPOP")):
            cut()
            assert [call(app, "add", n, 1).get(timeout=60) for n in range(3)] == [1, 2, 3]
        proxy.black_hole()
        waiting = call(app, "add", 1, 1)
        before = worker.text().count("Connection to broker lost")
        eventually(lambda: worker.text().count("Connection to broker lost") > before)
        proxy.heal()
        assert waiting.get(timeout=60) == 2
    starts = traces(own_redis)
    assert len(starts) == len(set(starts)) == 10
    assert own_redis.client().hget("{celery}:hive:counters", "deaths") is None


def test_a_revoked_task_that_waits_on_the_broker_never_starts(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis).ready() as worker:
        later = call(app, "add", 1, 1, countdown=5)
        (listed,) = app.control.inspect(timeout=30, limit=1).scheduled().values()
        assert [entry["request"]["id"] for entry in listed] == [later.id]
        later.revoke()
        eventually(lambda: "flagged as revoked" in worker.text())
        # It is taken off the broker at once: nobody has to remember it until its time comes.
        assert later.state == "REVOKED"
        assert own_redis.client().zcard("{celery}:hive:scheduled") == 0
    assert traces(own_redis) == []


def test_inspect_describes_tasks_as_celery_does(app: Any, own_redis: RedisServer) -> None:
    with WorkerProcess(own_redis).ready():
        at = datetime.fromtimestamp(SystemClock().wall_ms() / 1000 + 60, UTC)
        later = call(app, "add", 1, [2], eta=at)
        running = call(app, "wait_for", "end")
        eventually(lambda: traces(own_redis))
        inspect = app.control.inspect(timeout=30, limit=1)
        ((scheduled,),) = inspect.scheduled().values()
        assert (scheduled["eta"], scheduled["request"]["id"]) == (at.isoformat(), later.id)
        assert (scheduled["request"]["args"], scheduled["request"]["kwargs"]) == ([1, [2]], {})
        ((active,),) = inspect.active().values()
        assert active["id"] == running.id
        for told in (scheduled["request"], active):
            assert set(told["delivery_info"]) == {"exchange", "routing_key", "priority", "redelivered"}
        own_redis.client().rpush("end", 1)
        running.get(timeout=60)


def test_a_batch_is_published_together_or_not_at_all(app: Any, own_redis: RedisServer) -> None:
    with pytest.raises(MessageTooLargeError), app.batch():
        call(app, "add", 1, 1), call(app, "add", "x" * 20_000_000, 1)
    assert own_redis.client().llen("celery") == 0
    with app.batch():
        results = [call(app, "add", n, n) for n in range(200)]
        assert own_redis.client().llen("celery") == 0
    with WorkerProcess(own_redis):
        assert sum(result.get(timeout=60) for result in results) == 2 * sum(range(200))
