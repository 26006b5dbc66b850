"""What a worker that sizes its own pool is told by the broker."""

from types import SimpleNamespace

from hive import Hive
from hive.runtime.worker.worker_demand import DemandReader, Waiting
from tests.support.redis_server import RedisServer


def test_a_worker_that_was_told_to_consume_nothing_finds_nothing_waiting(redis_server: RedisServer) -> None:
    app = Hive("demand", broker=redis_server.url)
    reader = DemandReader(SimpleNamespace(app=app, hostname="worker@host"))
    app.amqp.queues.select([app.conf.task_default_queue])
    assert reader.read() == Waiting()
    # As `celery control cancel_consumer` does; an error here would end the thread that sizes the pool, for good.
    app.amqp.queues.deselect(app.conf.task_default_queue)
    assert not app.amqp.queues.consume_from
    assert reader.read() == Waiting()
