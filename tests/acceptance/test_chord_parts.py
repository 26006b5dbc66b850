"""A chord's body is published whatever dies on the way to it."""

import pytest
from celery import chord

from hive import Hive
from tests.support.redis_server import RedisServer
from tests.support.workers import QUICK, WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

NAME = "tests.support.delivery_app."


def test_a_part_that_died_with_the_claim_to_the_body_publishes_it_when_it_is_delivered_again(
    own_redis: RedisServer,
) -> None:
    app = Hive("caller", broker=own_redis.url, backend=own_redis.url)
    client = own_redis.client()
    parts = [app.signature(f"{NAME}{name}", args) for name, args in (("add", (1, 1)), ("die_once", ()))]
    body = chord(parts, app.signature(f"{NAME}echo")).apply_async()
    # As if it had been counted before it died, and had claimed the dispatch of the body.
    claim = app.backend.get_key_for_group(body.parent.id, ".c")
    client.set(claim, "of the dead", ex=60)
    with WorkerProcess(own_redis, pool="prefork", environment=QUICK):
        assert app.AsyncResult(body.id).get(timeout=60)[0] == 2
        assert len(traces(own_redis)) == 3
    assert client.get(claim) == b"done"
    app.close()
    client.close()
