"""A bug that another worker has as well makes its message poison; what only looks like one is tried on."""

import pytest

from hive import Hive
from hive.deadletter import DeadLetters
from hive.errors import DeadLetteredError
from hive.store.store import Store
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


def test_the_same_bug_on_two_workers_is_poison_and_nothing_else_is(app: Hive, own_redis: RedisServer) -> None:
    environment = {"HIVE_HOME": str(own_redis.directory / "home")}
    note = app.signature("tests.support.delivery_app.note")
    same, moving, away = (
        app.send_task("tests.support.delivery_app.buggy", (kind,), link_error=note).id
        for kind in ("same", "moving", "away")
    )
    store: Store = app.access.store
    with WorkerProcess(own_redis, environment=environment).ready():
        eventually(lambda: store.stats("celery").scheduled == 3, what="three retries to wait")
    with WorkerProcess(own_redis, environment=environment, pool="prefork").ready():
        eventually(lambda: {app.AsyncResult(id_).state for id_ in (same, moving, away)} == {"FAILURE"})
        (key,) = store.queue_keys("celery").keys("dead:untold")
        eventually(lambda: store.dead_count("celery") and not store.client.exists(key), what="nobody left to tell")
        eventually(lambda: len(traces(own_redis, "note")) >= 3)
        # The task has told of its failure itself.
        assert not isinstance(app.AsyncResult(same).result, DeadLetteredError)
    (letter,) = DeadLetters(store, ["celery"]).find()
    assert (letter.task_id, letter.stored.reason) == (same, "same_failure")
    assert "the same failure on two workers: " in letter.stored.traceback
    assert len(traces(own_redis, "note")) == 3, "each errback once"
    for tried_on in (moving, away):
        assert "2 retries are used up" in str(app.AsyncResult(tried_on).traceback)
