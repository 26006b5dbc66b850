"""Publishing: one publish that is tried again is one message, two publishes are two, and a next step is one for ever."""

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery._state import _task_stack
from celery.app.task import Context
from celery.exceptions import Retry
from kombu import Exchange, Queue

from hive import Hive
from hive.store.faults import BrokerGoneError
from hive.store.values import Start
from tests.support.redis_server import RedisServer


@pytest.fixture
def queue() -> str:
    return f"q-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def app(redis_server: RedisServer, queue: str) -> Iterator[Any]:
    app = Hive("publishing", broker=redis_server.url, set_as_current=False)
    app.conf.task_default_queue = queue

    @app.task(name="step", shared=False)
    def step(*args: Any) -> None:
        """Do nothing."""

    yield app
    app.close()


def lose_replies(app: Any, count: int) -> None:
    """Let the next replies to a publish be lost after the script ran."""
    left = iter(range(count))

    def at(script: str, when: str) -> None:
        if (script, when) == ("publish", "after") and next(left, None) is not None:
            raise BrokerGoneError("the reply was lost")

    app.process.at = at


def test_tries_of_one_publish_are_one_message_and_the_dropped_one_is_logged(
    app: Any, queue: str, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    lose_replies(app, 1)
    with caplog.at_level(logging.WARNING):
        app.tasks["step"].apply_async(retry_policy={"interval_start": 0, "interval_step": 0})
    client = redis_server.client()
    assert client.llen(queue) == 1
    assert "is not published" in caplog.text
    assert b"hive_publish_id" not in client.lindex(queue, 0)


def test_a_task_id_that_is_used_again_is_another_task(app: Any, queue: str, redis_server: RedisServer) -> None:
    client = redis_server.client()
    for _ in range(2):
        app.tasks["step"].apply_async((1,), task_id=f"same-{queue}")
    frozen = app.tasks["step"].s(5)
    frozen.freeze()
    for _ in range(2):
        frozen.delay()
    assert client.llen(queue) == 4
    with app.connection_for_write() as connection:
        assert connection.default_channel.queue_purge(queue) == 4
    app.tasks["step"].apply_async((1,), task_id=f"same-{queue}")
    assert client.llen(queue) == 1


class Run:
    """A delivery of a task whose body has ended in this process."""

    def __init__(self, app: Any, channel: Any, request: dict[str, Any]) -> None:
        (message,) = [channel.basic_get(app.conf.task_default_queue)]
        consumer = channel.consumer
        consumer.start(Start(id=message.delivery_tag, message_id=message.fence["message"]))
        self.app, self.message = app, message
        self.request = Context(request, delivery_info={"hive": message.fence}, called_directly=False)
        self.task = app.tasks["step"]

    def __enter__(self) -> Any:
        self.task.push_request(**self.request.__dict__)
        _task_stack.push(self.task)
        self.task._check()
        return self.task

    def __exit__(self, *error: object) -> None:
        _task_stack.pop()
        self.task.pop_request()


def test_a_retry_goes_to_all_queues_of_a_topic_and_ends_its_delivery(
    app: Any, queue: str, redis_server: RedisServer
) -> None:
    client = redis_server.client()
    step = app.tasks["step"]
    topic = Exchange(f"{queue}-topic", type="topic")
    targets = [Queue(f"{queue}-{name}", topic, routing_key="r.*") for name in "ab"]
    step.apply_async(task_id="parent")
    with app.connection_for_write() as connection:
        channel = connection.channel()
        for target in targets:
            target(channel).declare()
        run = Run(app, channel, {"id": "parent", "args": (), "kwargs": {}, "retries": 0})
        with run as task, pytest.raises(Retry):
            task.retry(queue=targets[0], exchange=topic.name, routing_key="r.x", countdown=60)
    assert [client.zcard(f"{{{target.name}}}:hive:scheduled") for target in targets] == [1, 1]
    assert client.keys(f"*{queue}*:hive:inflight:*") == []


def test_a_next_step_is_dropped_when_the_body_ran_again_and_other_calls_are_not(
    app: Any, queue: str, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = redis_server.client()
    step = app.tasks["step"]
    after = step.s(2).set(task_id="after", queue=f"{queue}-next")
    member = step.s(3).set(task_id="member", queue=f"{queue}-next")
    request = {"id": "parent", "callbacks": [dict(member)], "chain": [dict(after)]}
    step.apply_async(task_id="parent")
    with app.connection_for_write() as connection:
        channel = connection.channel()
        for _ in range(2):
            run = Run(app, channel, request)
            with run:
                app.signature(after).apply_async()
                app.signature(member).apply_async()
                step.apply_async(task_id="mine", queue=f"{queue}-own")
            # As after the death of a worker, however long the body took; the window of publishes has passed.
            client.delete(*client.keys(f"*{queue}*:hive:published:*"))
            channel.consumer.died(run.message.delivery_tag, "killed")
            channel.consumer.flush()
            run.message._state = "ACK"
        assert client.llen(f"{queue}-next") == 2
        assert client.llen(f"{queue}-own") == 2
        assert b"hive_follows" not in client.lindex(f"{queue}-next", 0)
    assert "an earlier delivery" in caplog.text
