"""A plain call taken in the short way: its request is what Celery's way makes of the same message."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context

from hive import Hive
from hive.runtime.worker.request import HiveRequest
from hive.runtime.worker.strategy import PlainRequest
from hive.store.values import DeliveryId

#: Who is told of the end: Celery's promises are made elsewhere.
LEFT_OUT = {"_on_ack", "_on_reject", "_message"}


def message(app: Any, **options: Any) -> Any:
    written = app.amqp.as_task_v2("an-id", "celery.backend_cleanup", (1, "two"), {"three": [3]}, **options)
    return SimpleNamespace(
        headers={**written.headers, "lang": "py", "mine": 7},
        properties={**written.properties, "delivery_tag": "tag", "priority": 3},
        body=b"as it came",
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={"exchange": "", "routing_key": "celery"},
        delivery_tag=DeliveryId(queue="q", token=1),
        payload=list(written.body),
        fence={"consumer": "c", "queue": "q", "token": 1, "message": "tag", "broker": "b"},
        consumer=SimpleNamespace(shares_memory=options.get("reply_to") is None),
        end=print,
        give_up=print,
    )


def attributes(request: Any) -> dict[str, Any]:
    slots = {name for kind in type(request).__mro__ for name in getattr(kind, "__slots__", ())}
    names = {f"_Request{name}" if name.startswith("__") and not name.endswith("__") else name for name in slots}
    found = {name: getattr(request, name) for name in names - {"__dict__", "__weakref__"} if hasattr(request, name)}
    found |= vars(request)
    return {name: value for name, value in found.items() if name not in LEFT_OUT}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shadow": "another name", "time_limit": 9, "soft_time_limit": 8},
        {"reply_to": "somebody", "root_id": "root", "parent_id": "parent", "ignore_result": True, "retries": 2},
    ],
)
def test_the_short_way_makes_the_request_that_celery_s_makes(options: dict[str, Any]) -> None:
    app: Any = Hive("plain", broker="redis://127.0.0.1:1/0")
    task = app.tasks["celery.backend_cleanup"]
    consumer = SimpleNamespace(hostname="node", event_dispatcher=None, connection_errors=(OSError,))
    full = HiveRequest(
        message(app, **options), app=app, task=task, hostname="node", eventer=None, connection_errors=(OSError,)
    )
    plain = PlainRequest(message(app, **options), task, consumer, app)
    assert attributes(plain) == attributes(full)
    assert vars(Context(plain.request_dict)) == vars(Context(full.request_dict))
    assert (plain.time_limits, plain.name, plain.store_errors) == (full.time_limits, full.name, full.store_errors)
