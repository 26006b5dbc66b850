"""The worker's view of a task: what Celery must not do with it again."""

from types import SimpleNamespace
from typing import Any

import pytest

from hive import Hive
from hive.runtime.worker.request import HiveRequest


def request(properties: dict[str, Any]) -> HiveRequest:
    app = Hive("request", broker="redis://127.0.0.1:1/0")
    message = SimpleNamespace(
        headers={"id": "1", "task": "celery.backend_cleanup", "eta": "2100-01-01T00:00:00+00:00"},
        properties={"delivery_tag": "1", **properties},
        body=b"[[], {}, {}]",
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={},
        payload=([], {}, {}),
        fence={"consumer": "c", "queue": "q", "token": 1, "message": "1", "broker": "b"},
        consumer=SimpleNamespace(shares_memory=False),
    )
    return HiveRequest(message, app=app, task=app.tasks["celery.backend_cleanup"], headers=message.headers)


@pytest.mark.parametrize(("properties", "waits"), [({"hive_scheduled": True}, False), ({}, True)])
def test_what_was_due_by_the_broker_s_clock_does_not_wait_for_the_worker_s(
    properties: dict[str, Any], waits: bool
) -> None:
    assert (request(properties).eta is not None) == waits
