"""A worker and a caller that reach the broker over TLS, with a certificate that is checked."""

import pytest

from hive import Hive
from hive.errors import BrokerError
from hive.runtime.connection import broker_facts
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.tls_front import TlsFront, certificate
from tests.support.workers import WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


def test_tasks_and_results_pass_over_tls(own_redis: RedisServer) -> None:
    with TlsFront(own_redis.port, own_redis.directory) as front:
        app = Hive("caller", broker=front.url, backend=front.url)
        add = app.signature("tests.support.delivery_app.add")
        with WorkerProcess(own_redis, url=front.url).ready() as worker:
            results = [add.clone((n, n)).apply_async() for n in range(10)]
            assert [result.get(timeout=60) for result in results] == [2 * n for n in range(10)]
            later = app.signature("tests.support.delivery_app.again", (2, 0.1)).apply_async()
            assert later.get(timeout=60) == 2
            eventually(lambda: own_redis.client().keys("*inflight*") == [])
            assert front.accepted > 1
            assert worker.process.poll() is None
        app.close()
        assert len(traces(own_redis)) == 13


def test_a_certificate_that_nobody_vouches_for_is_refused(own_redis: RedisServer) -> None:
    with TlsFront(own_redis.port, own_redis.directory) as front:
        other = own_redis.directory / "other"
        other.mkdir()
        trusted, _ = certificate(other)
        with pytest.raises(BrokerError, match="certificate"):
            broker_facts(Hive("stranger", broker=front.url.replace(str(front.certificate), str(trusted))))
