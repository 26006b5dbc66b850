"""Options of calls: what is meant to be one of hive's is none in silence, and all of Celery's pass."""

import inspect

import pytest
from celery import Celery, Task
from kombu import Producer

from hive import Hive
from hive.errors import InputError
from hive.runtime.calling.call_options import DECLARED, OURS, require_meant


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("dedline_s", "did you mean 'deadline_s'?"),
        ("deadline", "did you mean 'deadline_s'?"),
        ("idempotencykey", "did you mean 'idempotency_key'?"),
        ("fair_keys", "did you mean 'fair_key'?"),
        ("breaker", "@app.task(breaker=...)"),
    ],
)
def test_a_call_that_would_be_another_than_is_meant_is_an_error(name: str, says: str) -> None:
    app = Hive("options", broker="redis://127.0.0.1:1/0", set_as_current=False)

    @app.task(name="buy", shared=False)
    def buy() -> None: ...

    with pytest.raises(InputError) as refused:
        buy.apply_async(**{name: 1})
    assert str(refused.value).startswith("buy: ")
    assert says in str(refused.value)


def test_celerys_options_and_an_applications_own_pass() -> None:
    amqp = Celery(set_as_current=False).amqp
    calls = (Task.apply_async, Celery.send_task, amqp.as_task_v2, amqp.send_task_message, Producer.publish)
    known = {name for call in calls for name in inspect.signature(call).parameters}
    assert len(known) > 50
    require_meant("buy", [*known, *OURS, "shard", "priority_class", "message_id", "app_id"])
    assert not known & DECLARED
