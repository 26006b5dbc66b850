"""Nobody waits for a dead letter: its result, its chord, its chain and its errbacks end with it, once, and a redrive undoes it."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain, chord
from celery.exceptions import ChordError

from hive.deadletter import DeadLetters, Selection
from hive.errors import DeadLetteredError
from hive.settings.parts import DeliverySettings
from hive.store import Layout, Store, never_repeating
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import QUICK, WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

NAME = "tests.support.delivery_app."


@pytest.fixture
def store(own_redis: RedisServer) -> Iterator[Store]:
    client = own_redis.client(retry=never_repeating())
    yield Store(client, layout=Layout(), settings=DeliverySettings())
    client.close()


@pytest.fixture
def environment(own_redis: RedisServer) -> dict[str, str]:
    return {"HIVE_HOME": str(own_redis.directory / "home")}


def call(app: Any, name: str, *args: Any, **options: Any) -> Any:
    return app.signature(NAME + name, args, **options)


def untold(server: RedisServer) -> int:
    return int(server.client().zcard("{celery}:hive:dead:untold"))


def test_who_waits_for_a_killer_gets_a_failure_that_names_the_letter_and_a_redrive_another_result(
    app: Any, own_redis: RedisServer, store: Store, environment: dict[str, str]
) -> None:
    with WorkerProcess(own_redis, pool="prefork", environment=environment).ready():
        errback = call(app, "note", immutable=False).set(task_id="the-errback-s-own")
        killer = call(app, "kill_until", "spare").apply_async(link_error=errback)
        alone = chain(call(app, "kill_until", "spare"), call(app, "echo")).apply_async()
        body = chord([call(app, "add", 1, 1), call(app, "kill_until", "spare")], call(app, "echo")).apply_async()
        with pytest.raises(DeadLetteredError, match="max_deliveries") as caught:
            killer.get(timeout=60)
        letter = DeadLetters(store, ["celery"]).get(killer.id)
        assert (caught.value.letter, caught.value.queue) == (letter.stored.id, "celery")
        with pytest.raises(DeadLetteredError):
            alone.get(timeout=60)
        with pytest.raises(ChordError, match="DeadLetteredError"):
            app.AsyncResult(body.id).get(timeout=60)
        eventually(lambda: untold(own_redis) == 0)
        eventually(lambda: traces(own_redis, "note") == ["the-errback-s-own"], what="the errback ran once")

        own_redis.client().set("spare", 1)
        assert DeadLetters(store, ["celery"]).redrive(Selection()) == 3
        eventually(lambda: app.AsyncResult(killer.id).state == "SUCCESS")
        assert app.AsyncResult(killer.id).get(timeout=60) == "spared"
        eventually(lambda: app.AsyncResult(alone.id).state == "SUCCESS")
    assert traces(own_redis, "note") == ["the-errback-s-own"]


def test_a_worker_that_dies_before_it_has_told_leaves_it_to_the_next(
    app: Any, own_redis: RedisServer, store: Store, environment: dict[str, str]
) -> None:
    killer = call(app, "kill_process").apply_async(link_error=call(app, "note").set(task_id="errback"))
    for _ in range(2):
        with WorkerProcess(own_redis, environment={**environment, **QUICK}) as worker:
            worker.process.wait(60)
    with WorkerProcess(own_redis, environment={**environment, **QUICK}) as worker:
        worker.process.wait(60)
    # The one that buries it dies once the letter is handed to it.
    dying = {**environment, **QUICK, "DELIVERY_DIES_AT": "after dead_arrivals once {celery}:hive:dead:untold"}
    with WorkerProcess(own_redis, environment=dying) as worker:
        assert worker.process.wait(60) == -signal.SIGKILL, worker.text()
    assert (store.dead_count("celery"), untold(own_redis), killer.state) == (1, 1, "PENDING")
    # Its half minute is over.
    own_redis.client().zadd("{celery}:hive:dead:untold", {store.dead_ids("celery")[0]: 0})
    with WorkerProcess(own_redis, environment=environment).ready():
        with pytest.raises(DeadLetteredError, match="3 times"):
            killer.get(timeout=60)
        eventually(lambda: traces(own_redis, "note") == ["errback"])
        assert untold(own_redis) == 0
        # Another has told of it, too: as after a death right after the telling.
        own_redis.client().zadd("{celery}:hive:dead:untold", {store.dead_ids("celery")[0]: 0})
        eventually(lambda: untold(own_redis) == 0)
        assert call(app, "echo", 1).apply_async().get(timeout=60) == 1
    assert traces(own_redis, "note") == ["errback"], "an errback's message is published once"


@pytest.mark.parametrize("task", ["overtime", "kill_process"])
def test_a_failure_is_told_of_when_it_is_final_and_not_before(
    app: Any, own_redis: RedisServer, environment: dict[str, str], task: str
) -> None:
    errback = call(app, "note").set(task_id="errback")
    with WorkerProcess(own_redis, pool="prefork", environment=environment).ready():
        result = call(app, task).apply_async(link_error=errback)
        with pytest.raises(DeadLetteredError):
            result.get(timeout=60)
        eventually(lambda: traces(own_redis, "note") == ["errback"])
        assert call(app, "echo", os.getpid()).apply_async().get(timeout=60) == os.getpid()
    assert traces(own_redis, "start", result.id) == [result.id] * 3
    assert traces(own_redis, "note") == ["errback"]
