"""Tasks that declare several guards at once: what one of them decides must not undo another."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery.contrib.testing.worker import start_worker

from hive import Hive, ImmediateRetry, LastGood
from hive.deadletter import DeadLetters
from hive.errors import GuardRefusedError
from hive.guards import GuardedCall, Verdict
from hive.resilience.breaker import BreakerState
from hive.runtime.guarding import admission
from hive.runtime.guarding.limited import limits_of
from hive.settings.load import load_settings
from hive.store.store import Store
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


@pytest.fixture
def app(redis_server: RedisServer, tmp_path: Path) -> Iterator[Hive]:
    queue = f"together-{uuid4().hex}"
    settings = load_settings(
        broker={"key_prefix": f"{queue}:"}, breaker={"open_s": 60}, dead={"watch_every_s": 0.1}, home=tmp_path
    )
    app = Hive(queue, broker=redis_server.url, backend=redis_server.url, set_as_current=False, settings=settings)
    app.conf.update(task_queues=None, task_default_queue=queue)
    yield app
    app.close()


def scheduled(app: Hive) -> list[bytes]:
    """What waits for its time, as it stands on the broker."""
    store = app.access.store
    (key,) = store.queue_keys(app.conf.task_default_queue).keys("scheduled:messages")
    found: Any = store.client.hvals(key)
    return list(found)


def test_a_call_whose_fallback_has_no_value_waits_for_its_keys_turn_as_well(app: Hive) -> None:
    @app.task(name="asks", shared=False, breaker="model", fallback=LastGood(), fair_key="{tenant}")
    def asks(tenant: str) -> str:
        return tenant

    app.access.store.breaker_force("model", BreakerState.OPEN)
    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False):
        asks.delay("large")
        eventually(lambda: scheduled(app))
        (record,) = scheduled(app)
    assert record.startswith(b"0;large;1:")


class Broken:
    """A guard with a bug."""

    name = "broken"

    def ask(self, call: GuardedCall) -> Verdict:
        raise LookupError(f"no rule for {call.task}")

    def release(self, call: GuardedCall) -> None:
        """Never asked: it gave nothing."""

    def ended(self, call: GuardedCall, error: BaseException | None) -> None:
        """Never told: nothing passed it."""


def test_a_guard_that_fails_refuses_its_task_gives_back_and_leaves_the_worker_alone(
    app: Hive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "SOURCES", (limits_of, lambda _, task: (Broken(),) if task.name == "one" else ()))

    @app.task(name="one", shared=False, exclusive="place")
    def one() -> None: ...

    @app.task(name="other", shared=False, exclusive="place")
    def other() -> str:
        return "ran"

    with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False):
        failed = one.delay()
        with pytest.raises(GuardRefusedError, match="no rule for one"):
            failed.get(timeout=60)
        # What was given to the first, the other has; the worker's lease on it would keep it otherwise.
        assert other.delay().get(timeout=60) == "ran"


def letters(app: Hive) -> list[Any]:
    return list(DeadLetters(app.access.store, [app.conf.task_default_queue]).find())


def test_who_reads_a_failure_finds_its_letter(app: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    @app.task(name="gives_up_alone", shared=False, retry=ImmediateRetry(max_retries=0, dead_letter=True))
    def gives_up_alone() -> None:
        raise KeyError("gives up")

    def too_late(_: Any, consumer: str, condemned: Sequence[Any]) -> tuple[()]:
        assert not condemned, f"{consumer}: the failure was to be read before its letter was there"
        return ()

    monkeypatch.setattr(Store, "set_aside", too_late)
    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False):
        result = gives_up_alone.delay()
        with pytest.raises(KeyError):
            result.get(timeout=60)
        (letter,) = letters(app)
    assert letter.task_id == result.id
    assert letter.stored.reason == "retries_exhausted"


def test_what_a_task_condemns_becomes_a_letter_once_all_were_told(app: Hive) -> None:
    seen: list[Any] = []

    @app.task(name="note", shared=False)
    def note(request: Any, error: Any, trace: Any) -> None:
        # Called by the worker that records the failure, with the request.
        meta = app.backend.get_task_meta(request.id)
        seen.append((meta["status"], type(error).__name__, len(letters(app))))

    @app.task(name="gives_up", shared=False, retry=ImmediateRetry(max_retries=0, dead_letter=True))
    def gives_up() -> None:
        raise KeyError("gives up")

    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False):
        result = gives_up.apply_async(link_error=note.s())
        eventually(lambda: letters(app))
    # A worker that dies after the failure was recorded leaves its message to the next: nobody is left untold.
    assert seen == [("FAILURE", "KeyError", 0)]
    assert [letter.task_id for letter in letters(app)] == [result.id]


def test_a_failure_that_is_told_of_twice_leaves_one_letter_and_the_first_failure(app: Hive) -> None:
    told: list[str] = []

    def tell_again(self: Any, _: Exception, task_id: str, *_more: Any) -> None:
        # As where a hard time limit ends a task that has just failed.
        self.backend.mark_as_failure(task_id, ValueError("again"), request=self.request)
        told.append(task_id)

    retry = ImmediateRetry(max_retries=0, dead_letter=True)

    @app.task(name="fails_twice", shared=False, retry=retry, on_failure=tell_again, bind=True)
    def fails_twice(self: Any) -> None:
        raise KeyError(self.name)

    with start_worker(app, pool="threads", concurrency=1, perform_ping_check=False):
        result = fails_twice.delay()
        eventually(lambda: told == [result.id])
        with pytest.raises(KeyError):
            result.get(timeout=60)
    assert [letter.task_id for letter in letters(app)] == [result.id]
