"""Plain calls: field by field the message Celery itself makes, and Celery's own way for all that is not plain."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery, Task
from celery.app.routes import MapRoute
from celery.signals import after_task_publish, before_task_publish
from kombu import Exchange, Producer, Queue
from kombu.exceptions import OperationalError

from hive import Hive, HiveTask, Unique
from hive.errors import MessageTooLargeError
from hive.runtime.calling.plain_call import PlainCalls
from hive.store.faults import BrokerGoneError
from tests.support.redis_server import RedisServer

# A task may still declare a priority of its own, though Celery would rather have it in a route.
pytestmark = pytest.mark.filterwarnings("ignore:\\s*The .priority. task attribute")


class Recorder(PlainCalls):
    """Says of each call whether it was plain."""

    seen: list[bool]

    def send(self, task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
        result = super().send(task, args, kwargs, options)
        self.seen.append(result is not None)
        return result


class Publishing:
    """An application with tasks of many kinds, and what it published.

    Args:
        server: the broker.
        settings: further Celery settings.
        kind: class of the application.
    """

    def __init__(self, server: RedisServer, kind: type[Hive] = Hive, **settings: Any) -> None:
        self.client = server.client()
        self.name = f"q-{uuid.uuid4().hex[:8]}"
        self.app: Any = kind("plain", broker=server.url, backend=server.url, set_as_current=False)
        self.app.conf.update(
            task_default_queue=self.name,
            task_routes={"routed": {"queue": f"{self.name}-routed", "priority": 4}},
            **settings,
        )
        self.app.plain_calls = self.recorder = Recorder(
            self.app, self.app._publishers, lambda: getattr(self.app._batching, "producer", None)
        )
        self.recorder.seen = []
        self.results: list[Any] = []
        self._declare()

    def _declare(self) -> None:
        declared: dict[str, dict[str, Any]] = {
            "plain": {},
            "routed": {},
            "ignored": {"ignore_result": True},
            "urgent": {"priority": 9, "time_limit": 20, "soft_time_limit": 10},
            "yaml": {"serializer": "yaml"},
            "loose": {"typing": False, "trail": False},
            "agent": {"agent_type": "code_reviewer"},
            "expiring": {"expires": 60},
            "unique": {"unique": Unique(within_s=1)},
        }
        for name, options in declared.items():

            @self.app.task(name=name, shared=False, **options)
            def body(*args: Any, **kwargs: Any) -> None:
                """Do nothing."""

        @self.app.task(name="outer", shared=False, bind=True)
        def outer(task: Any, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> int:
            self.results.append(self.app.tasks[name].apply_async(args, kwargs, **options))
            return len(task.request.children)

    def close(self) -> None:
        """Let go of the results, which unsubscribe, and of the broker."""
        self.results.clear()
        self.app.close()

    def messages(self) -> list[Any]:
        """Return what was published, oldest first, less what differs from publish to publish; and remove it."""
        found = []
        keys = {*self.client.scan_iter(f"{self.name}*"), *self.client.scan_iter("agent.code_reviewer*")}
        for key in sorted(keys):
            found += [(key, json.loads(raw)) for raw in reversed(self.client.lrange(key, 0, -1))]
            self.client.delete(key)
        for _, message in found:
            assert uuid.UUID(message["properties"].pop("delivery_tag")).version == 4
            message["properties"].pop("hive_published_at_ms")
        return found


@contextmanager
def watched() -> Iterator[None]:
    """Have Celery's signal watched, so that calls go its own way."""

    def watch(**_: Any) -> None:
        """Do nothing."""

    before_task_publish.connect(watch)
    try:
        yield
    finally:
        before_task_publish.disconnect(watch)


CALLS: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("plain", None, None, {}),
    ("plain", (), {}, {}),
    ("plain", (1, "x", None, 2.5, True), {"key": 'it\'s "quoted" \\ \u20ac'}, {}),
    ("plain", [["nested", {"deep": [1, 2, (3,)]}], b"bytes"], {"when": datetime(2026, 1, 2, tzinfo=UTC)}, {}),
    ("plain", ("long " * 1_000,), {f"k{number}": number for number in range(300)}, {}),
    ("plain", (1,), {}, {"priority": 6, "shadow": "other name"}),
    ("plain", (1,), {}, {"priority": 0, "time_limit": 7, "soft_time_limit": 3}),
    ("plain", (1,), {}, {"ignore_result": True}),
    ("plain", (1,), {}, {"ignore_result": None}),
    ("plain", (1,), {}, {"root_id": "the root", "parent_id": "the parent", "add_to_parent": False}),
    ("plain", (1,), {}, {"root_id": "the root"}),
    ("plain", (1,), {}, {"parent_id": "the parent"}),
    ("plain", (1,), {}, {"link": "one", "link_error": "many"}),
    ("plain", (1,), {}, {"queue": "named"}),
    ("routed", (1,), {}, {}),
    ("routed", (1,), {}, {"queue": "named", "priority": 1}),
    ("ignored", (1,), {}, {}),
    ("ignored", (1,), {}, {"ignore_result": False}),
    ("urgent", (1,), {}, {}),
    ("urgent", (1,), {}, {"time_limit": 30, "priority": 1}),
    ("yaml", (1,), {"a": [1]}, {}),
    ("loose", (1,), {}, {}),
    ("agent", (1,), {}, {}),
]


@pytest.fixture
def publishing(redis_server: RedisServer) -> Iterator[Publishing]:
    publishing = Publishing(redis_server)
    yield publishing
    publishing.close()


def spelled(publishing: Publishing, options: dict[str, Any]) -> dict[str, Any]:
    """Return options with a queue and signatures of this application."""
    tasks = publishing.app.tasks
    steps = {"one": tasks["plain"].s(1), "many": [tasks["plain"].s(2), tasks["routed"].si()]}
    changed = {name: steps.get(value, value) if isinstance(value, str) else value for name, value in options.items()}
    return {**changed, "queue": f"{publishing.name}-named"} if "queue" in options else changed


def both_ways(publishing: Publishing, call: Any) -> tuple[list[Any], list[Any]]:
    """Return what a call publishes as a plain one, and what it publishes Celery's way."""
    with watched():
        call()
    publishing.messages()
    publishing.recorder.seen.clear()
    call()
    assert publishing.recorder.seen == [True]
    plain = publishing.messages()
    with watched():
        call()
    assert publishing.recorder.seen == [True, False]
    return plain, publishing.messages()


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_a_plain_call_has_the_message_celery_makes(publishing: Publishing, number: int) -> None:
    name, args, kwargs, options = CALLS[number]
    given = {**spelled(publishing, options), "task_id": "an id"}
    plain, celerys = both_ways(
        publishing,
        lambda: publishing.results.append(publishing.app.tasks[name].apply_async(args, kwargs, **dict(given))),
    )
    assert len(plain) == 1
    assert plain == celerys
    _, ours, theirs = publishing.results
    assert type(ours) is type(theirs)
    assert (ours.id, ours.ignored, ours.backend) == (theirs.id, theirs.ignored, theirs.backend)


@pytest.mark.parametrize("inherits", [False, True])
@pytest.mark.parametrize("number", range(len(CALLS)))
def test_a_plain_call_within_a_task_has_the_message_celery_makes(
    redis_server: RedisServer, number: int, inherits: bool
) -> None:
    publishing = Publishing(redis_server, task_inherit_parent_priority=inherits)
    name, args, kwargs, options = CALLS[number]
    given = {**spelled(publishing, options), "task_id": "an id"}
    children = []

    def call() -> None:
        outer = publishing.app.tasks["outer"]
        children.append(outer.apply((name, args, kwargs, dict(given)), task_id="outer id", priority=7).get())

    plain, celerys = both_ways(publishing, call)
    assert len(plain) == 1
    assert plain == celerys
    assert children == [int(options.get("add_to_parent", True))] * 3
    publishing.close()


NOT_PLAIN: list[tuple[str, dict[str, Any]]] = [
    ("plain", {"countdown": 1}),
    ("plain", {"eta": datetime(2100, 1, 1, tzinfo=UTC)}),
    ("plain", {"expires": 60}),
    ("plain", {"headers": {"mine": 1}}),
    ("plain", {"serializer": "yaml"}),
    ("plain", {"compression": "zlib"}),
    ("plain", {"retry": False}),
    ("plain", {"reply_to": "somebody"}),
    ("plain", {"delivery_mode": 1}),
    ("plain", {"group_id": "g", "group_index": 1}),
    ("plain", {"chain": []}),
    ("plain", {"retries": 1}),
    ("plain", {"priority": None}),
    ("plain", {"time_limit": None}),
    ("plain", {"exchange": "hive", "routing_key": "x"}),
    ("plain", {"stamped_headers": ["by"], "by": "me"}),
    ("plain", {"argsrepr": "(hidden)"}),
    ("plain", {"origin": "elsewhere"}),
    ("plain", {"deadline_s": 60}),
    ("plain", {"idempotency_key": "k"}),
    ("plain", {"fair_key": "k"}),
    ("plain", {"queue": Queue("object")}),
    ("expiring", {}),
    ("unique", {}),
]


@pytest.mark.parametrize(("name", "options"), NOT_PLAIN, ids=str)
def test_a_call_that_says_more_goes_celerys_way(publishing: Publishing, name: str, options: dict[str, Any]) -> None:
    task = publishing.app.tasks[name]
    for _ in range(2):
        task.apply_async((1,), **dict(options))
    assert publishing.recorder.seen == [False, False]


class OwnSendTask(Hive):
    """An application that changes how tasks are sent."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        return super().send_task(name, *args, **{**options, "priority": 3})


class DynamicRoute(MapRoute):
    """A route that may say something else each time."""


def to_nowhere(*_: Any, **__: Any) -> None:
    """Route nothing."""


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (OwnSendTask, {}),
        (Hive, {"task_send_sent_event": True}),
        (Hive, {"task_protocol": 1}),
        (Hive, {"task_compression": "gzip"}),
        (Hive, {"task_routes": [to_nowhere]}),
        (Hive, {"task_routes": [DynamicRoute({})]}),
    ],
    ids=["own send_task", "sent events", "protocol 1", "compression", "route function", "dynamic route"],
)
def test_an_application_that_changes_publishing_has_no_plain_calls(
    redis_server: RedisServer, kind: type[Hive], settings: dict[str, Any]
) -> None:
    publishing = Publishing(redis_server, kind)
    publishing.app.conf.update(settings)
    for _ in range(2):
        publishing.app.tasks["ignored"].delay()
    assert publishing.recorder.seen == [False, False]
    assert len(publishing.messages()) == 2
    publishing.close()


def test_what_takes_the_place_of_celerys_functions_is_called(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    task = publishing.app.tasks["plain"]
    send = publishing.app.send_task
    monkeypatch.setattr(publishing.app, "send_task", lambda *args, **kwargs: told.append(args) or send(*args, **kwargs))
    task.delay()
    task.delay()
    assert len(told) == 2


class Wrapper:
    """What instrumentation puts in a function's place: it answers as the function does, and equals it.

    Args:
        wrapped: the function.
        told: gets an entry for each call.
    """

    def __init__(self, wrapped: Any, told: list[Any]) -> None:
        self.wrapped, self.told = wrapped, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.wrapped == other)

    def __hash__(self) -> int:
        return hash(self.wrapped)

    def __get__(self, instance: Any, owner: Any) -> "Wrapper":
        return Wrapper(self.wrapped.__get__(instance, owner), self.told)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.told.append(args)
        return self.wrapped(*args, **kwargs)


@pytest.mark.parametrize(("owner", "name"), [(Celery, "send_task"), (Task, "apply_async"), (Producer, "publish")])
def test_a_wrapper_that_poses_as_celerys_function_is_called(
    publishing: Publishing, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    told: list[Any] = []
    task = publishing.app.tasks["plain"]
    for _ in range(2):
        task.delay()
    monkeypatch.setattr(owner, name, Wrapper(getattr(owner, name), told))
    for _ in range(2):
        task.delay()
    assert len(told) == 2


def test_an_override_may_pass_on_what_celery_takes_by_position(publishing: Publishing) -> None:
    class Old(HiveTask):
        def apply_async(self, *args: Any, **options: Any) -> Any:
            names = ("args", "kwargs", "task_id", "producer", "link", "link_error", "shadow")
            given = {**dict(zip(names, args, strict=False)), **options}
            return super().apply_async(*(given.pop(name, None) for name in names), **given)

    @publishing.app.task(name="old", base=Old, shared=False)
    def old() -> None:
        """Do nothing."""

    for _ in range(2):
        old.apply_async(shadow="another name")
    assert [message["headers"]["shadow"] for _, message in publishing.messages()] == ["another name"] * 2


def test_a_task_of_hives_class_may_belong_to_an_application_of_celerys(redis_server: RedisServer) -> None:
    queue = f"q-{uuid.uuid4().hex[:8]}"
    app = Celery("stock", broker=redis_server.url, set_as_current=False)

    @app.task(name="borrowed", base=HiveTask, shared=False)
    def borrowed() -> None:
        """Do nothing."""

    borrowed.apply_async(queue=queue)
    assert redis_server.client().llen(queue) == 1
    app.close()


def test_a_receiver_of_either_signal_is_told_of_each_call(publishing: Publishing) -> None:
    told = []

    def tell(headers: Any = None, **_: Any) -> None:
        told.append(headers["id"])

    task = publishing.app.tasks["plain"]
    task.delay()
    for signal in (before_task_publish, after_task_publish):
        signal.connect(tell)
        sent = task.delay()
        signal.disconnect(tell)
        assert told.pop() == sent.id
    task.delay()
    assert publishing.recorder.seen == [False, False, False, True]


def test_a_batch_holds_the_messages_that_calls_one_by_one_have(publishing: Publishing) -> None:
    calls = [call for call in CALLS if call[0] in {"plain", "urgent", "ignored"} and "queue" not in call[3]]
    tasks = publishing.app.tasks

    def call() -> None:
        for number, (name, args, kwargs, options) in enumerate(calls):
            tasks[name].apply_async(args, kwargs, **spelled(publishing, options), task_id=f"id {number}")

    with watched():
        call()
    celerys = publishing.messages()
    publishing.recorder.seen.clear()
    with publishing.app.batch():
        call()
        assert publishing.messages() == []
    assert all(publishing.recorder.seen)
    assert publishing.messages() == celerys


def test_the_ids_of_plain_calls_are_random_uuids(publishing: Publishing) -> None:
    for _ in range(1_001):
        publishing.app.tasks["ignored"].delay()
    ids = [uuid.UUID(message["headers"]["id"]) for _, message in publishing.messages()]
    assert len(set(ids)) == 1_001
    assert {(one.version, one.variant) for one in ids} == {(4, uuid.RFC_4122)}


def test_a_queue_declared_anew_or_with_another_exchange_is_asked_for_again(publishing: Publishing) -> None:
    task = publishing.app.tasks["plain"]
    for _ in range(2):
        task.apply_async(queue=f"{publishing.name}-named")
    assert publishing.recorder.seen == [False, True]
    exchange = Exchange(f"{publishing.name}-topic", "topic")
    publishing.app.amqp.queues.add(Queue(f"{publishing.name}-named", exchange, routing_key="any"))
    task.apply_async(queue=f"{publishing.name}-named")
    assert publishing.recorder.seen == [False, True, False]
    publishing.messages()


def test_the_errors_of_a_plain_call_are_those_of_celerys(publishing: Publishing) -> None:
    @publishing.app.task(name="strict", shared=False)
    def strict(number: int) -> None:
        """Do nothing."""

    strict.delay(1)
    with pytest.raises(TypeError):
        strict.delay()
    with pytest.raises(TypeError):
        strict.apply_async("1")
    with pytest.raises(MessageTooLargeError):
        strict.delay("x" * (publishing.app.settings.delivery.max_message_bytes + 1))
    with pytest.raises(Exception, match="not JSON serializable"):
        strict.delay(object())
    strict.delay(2)
    assert len(publishing.messages()) == 2


class Replies:
    """Loses the replies of publishes while told to."""

    def __init__(self) -> None:
        self.lost_count = 0
        self.left = 0

    def __call__(self, script: str, when: str) -> None:
        if (script, when) == ("publish", "after") and self.left:
            self.left -= 1
            self.lost_count += 1
            raise BrokerGoneError("the reply was lost")


def test_a_lost_reply_is_repeated_celerys_way_and_dropped_by_the_broker(publishing: Publishing) -> None:
    replies = publishing.app.process.at = Replies()
    task = publishing.app.tasks["ignored"]
    task.delay()
    replies.left = 1
    sent = task.delay()
    assert replies.lost_count == 1
    assert publishing.recorder.seen == [False, False]
    assert [message["headers"]["id"] for _, message in publishing.messages()][1:] == [sent.id]


def test_without_retry_a_lost_reply_of_a_plain_call_is_an_error(publishing: Publishing) -> None:
    publishing.app.conf.task_publish_retry = False
    replies = publishing.app.process.at = Replies()
    task = publishing.app.tasks["ignored"]
    task.delay()
    replies.left = 1
    with pytest.raises(OperationalError):
        task.delay()
    task.delay()
    assert len(publishing.messages()) == 3
