"""What the result of a task says between its attempts, and that it never goes back to it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import states
from celery.backends.redis import RedisBackend
from celery.contrib.testing.worker import start_worker

from hive import Hive, ImmediateRetry
from hive.settings.load import load_settings
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


@pytest.fixture
def app(redis_server: RedisServer, tmp_path: Path) -> Iterator[Hive]:
    queue = f"retried-{uuid4().hex}"
    settings = load_settings(broker={"key_prefix": f"{queue}:"}, home=tmp_path)
    app = Hive(queue, broker=redis_server.url, backend=redis_server.url, set_as_current=False, settings=settings)
    app.conf.update(task_queues=None, task_default_queue=queue)
    yield app
    app.close()


def test_a_result_never_goes_back_to_retry(app: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, failed_twice = threading.Event(), []

    @app.task(name="by_hand", bind=True, shared=False)
    def by_hand(self: Any) -> None:
        if self.request.retries:
            raise ValueError("for good")
        raise self.retry(countdown=0, exc=KeyError("once"))

    @app.task(name="by_strategy", bind=True, shared=False, retry=ImmediateRetry(max_retries=1, jitter=0.0))
    def by_strategy(self: Any) -> None:
        raise KeyError("for good" if self.request.retries else "once")

    backend: Any = type(app.backend)
    mark = backend.mark_as_retry

    def mark_late(self: Any, *args: Any, **kwargs: Any) -> Any:
        # As a worker does that is held up here: the next attempt has ended by then, if it can.
        ended.wait(1)
        return mark(self, *args, **kwargs)

    monkeypatch.setattr(backend, "mark_as_retry", mark_late)
    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        for task in (by_hand, by_strategy):
            ended.clear()
            result = task.delay()
            eventually(lambda result=result: result.backend.get_task_meta(result.id)["status"] == states.FAILURE)
            ended.set()
            failed_twice.append(result)
    # The worker has stopped, so nobody writes any more.
    assert [result.backend.get_task_meta(result.id)["status"] for result in failed_twice] == [states.FAILURE] * 2


def test_a_result_on_another_backend_never_goes_back_to_retry(
    app: Hive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.backend_cls = f"file://{tmp_path}"
    backend: Any = type(app.backend)
    assert not issubclass(backend, RedisBackend)
    ended, seen, mark = threading.Event(), list[str](), backend.mark_as_retry

    def mark_late(self: Any, *args: Any, **kwargs: Any) -> Any:
        ended.wait(2)
        return mark(self, *args, **kwargs)

    monkeypatch.setattr(backend, "mark_as_retry", mark_late)

    @app.task(name="elsewhere", bind=True, shared=False)
    def elsewhere(self: Any) -> str:
        seen.append(app.backend.get_task_meta(self.request.id)["status"])
        if self.request.retries:
            return "done"
        raise self.retry(countdown=0, exc=KeyError("once"))

    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        result = elsewhere.delay()
        eventually(lambda: result.backend.get_task_meta(result.id)["status"] == states.SUCCESS)
        ended.set()
    assert seen == [states.PENDING, states.RETRY]
    assert result.backend.get_task_meta(result.id)["status"] == states.SUCCESS


def test_a_task_that_waits_for_its_next_attempt_says_so(app: Hive) -> None:
    @app.task(name="waits", bind=True, shared=False)
    def waits(self: Any) -> None:
        raise self.retry(countdown=60, exc=KeyError("once"))

    @app.task(name="forgets", bind=True, shared=False, ignore_result=True)
    def forgets(self: Any) -> None:
        raise self.retry(countdown=60, exc=KeyError("once"))

    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        result, forgotten = waits.delay(), forgets.delay()
        eventually(lambda: app.access.store.stats(app.conf.task_default_queue).scheduled == 2)
        eventually(lambda: app.access.store.stats(app.conf.task_default_queue).in_flight == 0)
    assert result.state == states.RETRY
    assert isinstance(result.result, KeyError)
    assert "once" in result.traceback
    assert app.backend.get(app.backend.get_key_for_task(forgotten.id)) is None
