"""The transport under plain kombu connections, against a real broker."""

import base64
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import kombu
import pytest

from hive.clock import SystemClock
from hive.errors import MessageTooLargeError
from hive.runtime.worker.gate import Gate
from hive.store.faults import BrokerGoneError
from hive.store.values import Outcome, Start
from hive.transport.connection import Connection
from hive.transport.install import install
from hive.transport.transport import Transport
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

install()


@pytest.fixture
def queue() -> kombu.Queue:
    name = f"q-{uuid.uuid4().hex[:8]}"
    return kombu.Queue(name, kombu.Exchange(name, type="direct"), routing_key=name)


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[kombu.Connection]:
    with Connection(redis_server.url) as connection:
        yield connection


def publish(connection: kombu.Connection, queue: kombu.Queue, *bodies: Any, **options: Any) -> None:
    producer = connection.Producer()
    for body in bodies:
        producer.publish(body, exchange=queue.exchange, routing_key=queue.routing_key, declare=[queue], **options)


def drain(connection: kombu.Connection, count: int, timeout_s: float = 60) -> None:
    for _ in range(count):
        connection.drain_events(timeout=timeout_s)


class Inbox:
    """Keeps what was received; acknowledges if told to."""

    def __init__(self, acknowledges: bool = True) -> None:
        self.messages: list[Any] = []
        self.acknowledges = acknowledges

    @property
    def bodies(self) -> list[Any]:
        return [message.payload for message in self.messages]

    def __call__(self, message: Any) -> None:
        self.messages.append(message)
        if self.acknowledges:
            message.ack()


def inflight(server: RedisServer, queue: kombu.Queue) -> int:
    client = server.client()
    return sum(client.hlen(key) for key in client.keys(f"{{{queue.name}}}:hive:inflight:*"))


def test_every_redis_scheme_gets_the_transport(redis_server: RedisServer) -> None:
    for url in ("redis://h", "rediss://h", "redis+socket:///tmp/s", "sentinel://h"):
        assert issubclass(kombu.Connection(url).get_transport_cls(), Transport)
    assert kombu.Connection(redis_server.url).transport.driver_type == "redis"


def test_messages_arrive_once_in_order_and_leave_nothing_behind(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    publish(connection, queue, *range(10))
    inbox = Inbox()
    with connection.Consumer([queue], on_message=inbox):
        drain(connection, 10)
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)
    assert inbox.bodies == list(range(10))
    assert inflight(redis_server, queue) == 0
    assert redis_server.client().llen(queue.name) == 0


def test_an_unacknowledged_message_is_recorded_and_comes_back_when_the_channel_closes(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    publish(connection, queue, "a", "b")
    inbox = Inbox(acknowledges=False)
    channel = connection.channel()
    channel.basic_qos(0, 1, False)
    with kombu.Consumer(channel, [queue], on_message=inbox):
        drain(connection, 1)
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)
        assert (inbox.bodies, inflight(redis_server, queue)) == (["a"], 1)
    channel.close()
    assert redis_server.client().llen(queue.name) == 2
    again = Inbox()
    with connection.Consumer([queue], on_message=again):
        drain(connection, 2)
    assert again.bodies == ["a", "b"]


def test_rejected_messages_go_back_or_away(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    publish(connection, queue, "x")
    seen: list[Any] = []

    def refuse(message: Any) -> None:
        seen.append(message.payload)
        message.reject(requeue=len(seen) < 3)

    with connection.Consumer([queue], on_message=refuse):
        drain(connection, 3)
    assert seen == ["x"] * 3
    assert (redis_server.client().llen(queue.name), inflight(redis_server, queue)) == (0, 0)


def test_priorities_are_served_first_across_queues(connection: kombu.Connection, redis_server: RedisServer) -> None:
    queues = [kombu.Queue(f"p-{uuid.uuid4().hex[:8]}") for _ in range(2)]
    producer = connection.Producer()
    for priority in (9, 6, 3, 0):
        for queue in queues:
            producer.publish(priority, routing_key=queue.name, priority=priority)
    inbox = Inbox()
    with connection.Consumer(queues, on_message=inbox):
        drain(connection, 8)
    assert inbox.bodies == [0, 0, 3, 3, 6, 6, 9, 9]


@pytest.mark.parametrize(
    "raw",
    [
        b"no json",
        b"\xff\xfe\x00",
        b'"text"',
        b"{}",
        b'{"properties": {"delivery_tag": "t", "delivery_info": {}, "body_encoding": "base64"}, "body": "a", "headers": {}}',
        b"[" * 100_000,
        b'{"properties": ' + b"[" * 100_000,
    ],
    ids=["text", "bytes", "string", "empty", "no_base64", "deep", "deeper"],
)
def test_bytes_that_are_no_message_become_dead_letters_and_do_not_stop_the_consumer(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer, raw: bytes
) -> None:
    client = redis_server.client()
    publish(connection, queue, "first")
    client.lpush(queue.name, raw)
    publish(connection, queue, "last")
    inbox = Inbox()
    with connection.Consumer([queue], on_message=inbox):
        drain(connection, 2)
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.1)
    assert inbox.bodies == ["first", "last"]
    assert client.hvals(f"{{{queue.name}}}:hive:dead:messages") == [b"0:" + raw]
    assert inflight(redis_server, queue) == 0


def test_a_message_over_the_limit_is_refused_with_its_size(redis_server: RedisServer, queue: kombu.Queue) -> None:
    options = {"hive": {"max_message_bytes": 2_000}}
    with (
        Connection(redis_server.url, transport_options=options) as connection,
        pytest.raises(MessageTooLargeError) as refused,
    ):
        publish(connection, queue, "x" * 3_000)
    assert refused.value.size_bytes > 3_000
    assert redis_server.client().llen(queue.name) == 0


def test_a_message_that_expired_is_not_delivered(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    publish(connection, queue, "stale", expiration=0.001)
    publish(connection, queue, "fresh", expiration=60)
    inbox = Inbox()
    with connection.Consumer([queue], on_message=inbox):
        drain(connection, 1)
    assert inbox.bodies == ["fresh"]
    assert inflight(redis_server, queue) == 0


def test_fanout_and_unacknowledged_consumers_work_beside(connection: kombu.Connection, queue: kombu.Queue) -> None:
    fan = kombu.Queue(f"f-{uuid.uuid4().hex[:8]}", kombu.Exchange(f"fan-{uuid.uuid4().hex[:8]}", type="fanout"))
    heard, popped = Inbox(acknowledges=False), Inbox(acknowledges=False)
    with (
        connection.Consumer([fan], on_message=heard, no_ack=True),
        connection.Consumer([queue], on_message=popped, no_ack=True),
    ):
        connection.drain_events(timeout=60)  # the subscription is confirmed
        connection.Producer().publish("all", exchange=fan.exchange, routing_key="")
        publish(connection, queue, "one")
        drain(connection, 2)
    assert (heard.bodies, popped.bodies) == (["all"], ["one"])


def test_purge_size_and_get(connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer) -> None:
    publish(connection, queue, *range(5))
    bound = queue(connection.default_channel)
    message = bound.get()
    assert message.payload == 0
    assert bound.queue_declare(passive=True).message_count == 4
    assert bound.purge() == 4
    message.ack()
    assert bound.get() is None
    assert inflight(redis_server, queue) == 0


def test_a_key_prefix_keeps_applications_apart(redis_server: RedisServer, queue: kombu.Queue) -> None:
    options = {"global_keyprefix": "shop:"}
    with Connection(redis_server.url, transport_options=options) as connection:
        publish(connection, queue, "mine")
        assert redis_server.client().llen(f"shop:{queue.name}") == 1
        inbox = Inbox()
        with connection.Consumer([queue], on_message=inbox):
            drain(connection, 1)
    assert inbox.bodies == ["mine"]
    assert [key for key in redis_server.client().keys(f"*{queue.name}*") if not key.startswith(b"shop:")] == []


def test_a_batch_of_publishes_is_sent_together(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    producer = connection.Producer()
    publish(connection, queue, "declared")
    with producer.batch():
        for n in range(50):
            producer.publish(n, exchange=queue.exchange, routing_key=queue.routing_key)
        assert redis_server.client().llen(queue.name) == 1
    assert redis_server.client().llen(queue.name) == 51


def test_stock_kombu_reads_what_hive_wrote_and_the_other_way_round(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    from kombu.transport.redis import Transport as StockTransport

    stock = kombu.Connection(redis_server.url, transport=StockTransport)
    publish(connection, queue, "from hive")
    inbox = Inbox()
    with stock, stock.Consumer([queue], on_message=inbox):
        drain(stock, 1)
        publish(stock, queue, "from stock")
    with connection.Consumer([queue], on_message=inbox):
        drain(connection, 1)
    assert inbox.bodies == ["from hive", "from stock"]


def test_a_consumer_goes_on_after_the_broker_restarted_and_still_holds_nothing_twice(own_redis: RedisServer) -> None:
    queue = kombu.Queue("q", kombu.Exchange("q", type="direct"), routing_key="q")
    inbox = Inbox()
    with Connection(own_redis.url) as connection:
        publish(connection, queue, "before")
        consumer = connection.Consumer([queue], on_message=inbox)
        with consumer:
            drain(connection, 1)
            own_redis.restart(kill=True)
            with pytest.raises(connection.connection_errors):
                drain(connection, 3)
        connection.collect()
        publish(connection, queue, "after")
        with connection.Consumer([queue], on_message=inbox):
            drain(connection, 1)
    assert inbox.bodies == ["before", "after"]


def test_bodies_are_what_they_were(connection: kombu.Connection, queue: kombu.Queue) -> None:
    """Lua must not touch a payload: an empty list stays one, and so does a large number."""
    bodies = [[], {}, {"a": []}, 2**60, "é☃", base64.b64encode(b"\x00\xff").decode()]
    publish(connection, queue, *bodies)
    inbox = Inbox()
    with connection.Consumer([queue], on_message=inbox):
        drain(connection, len(bodies))
    assert inbox.bodies == bodies


class Loop:
    """As much of an event loop as the transport asks for: readers, timers, and whether it would sleep."""

    def __init__(self) -> None:
        self.readers: dict[int, Any] = {}
        self.timers: list[Any] = []

    def add_reader(self, fileno: int, callback: Any, *args: Any) -> None:
        self.readers[fileno] = lambda: callback(*args)

    def call_later(self, _: float, callback: Any) -> None:
        self.timers.append(callback)


def test_an_event_loop_does_not_sleep_on_messages_that_are_dealt_with_before_delivery(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    from kombu.transport.redis import Transport as StockTransport

    eta = datetime.fromtimestamp(SystemClock().wall_ms() / 1000 + 600, UTC).isoformat()
    with kombu.Connection(redis_server.url, transport=StockTransport) as stock:
        publish(stock, queue, *range(40), headers={"eta": eta})
        publish(stock, queue, "now")
    channel = connection.channel()
    channel.basic_qos(0, 8, False)
    inbox = Inbox()
    poller, loop = connection.transport.cycle, Loop()
    with kombu.Consumer(channel, [queue], on_message=inbox):
        poller.on_poll_init(poller.poller)
        poller.watch_nudges(loop, 0.01)
        nudge = poller._nudge[0]
        for _ in range(20):
            if inbox.messages:
                break
            channel.turn()
            # A loop without a nudge would sleep until some timer, with the broker full of work.
            assert inbox.messages or poller._is_nudged
            if poller._is_nudged:
                loop.readers[nudge]()
        channel.turn()
        consumer = channel.consumer
        consumer.flush()
        assert inbox.bodies == ["now"]
        assert redis_server.client().zcard(f"{{{queue.name}}}:hive:scheduled") == 40
        poller.has_loop = False


def test_a_stock_producer_s_eta_waits_on_the_broker_but_never_in_circles(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    """A host whose clock is behind the broker's would send what is due back for ever."""
    from kombu.transport.redis import Transport as StockTransport

    eta = datetime.fromtimestamp(SystemClock().wall_ms() / 1000 + 600, UTC).isoformat()
    with kombu.Connection(redis_server.url, transport=StockTransport) as stock:
        publish(stock, queue, "later", headers={"eta": eta})
    inbox = Inbox()
    client = redis_server.client()
    with connection.Consumer([queue], on_message=inbox):
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.1)
        scheduled = f"{{{queue.name}}}:hive:scheduled"
        eventually(lambda: client.zcard(scheduled) == 1 or connection.default_channel.turn())
        # Now it is due by the broker's clock, long before it is by ours.
        client.zadd(scheduled, dict.fromkeys(client.zrange(scheduled, 0, -1), 1))
        drain(connection, 1)
    assert inbox.bodies == ["later"]


def test_only_the_worker_s_own_channel_begins_tasks(connection: kombu.Connection, queue: kombu.Queue) -> None:
    """A task that consumes by itself shares the worker's consumer; it must not take what the worker is to start."""
    publish(connection, queue, "a")
    own, other = connection.channel(), connection.channel()
    own.begins_tasks = True
    consumer = own.consumer
    assert other.consumer is consumer
    claim = consumer.claim([queue.name], 1)
    start = Start(id=claim.deliveries[0].id, message_id="a")
    waiting, begun = [start], {}

    def due() -> list[Start]:
        taken, waiting[:] = list(waiting), []
        return taken

    consumer.starts_due, consumer.has_starts, consumer.on_started = due, lambda: bool(waiting), begun.update
    other.turn()
    assert (waiting, begun) == ([start], {})
    own.turn()
    assert (waiting, begun) == ([], {start.id: Outcome.DONE})


def test_starts_wait_again_when_the_broker_does_not_answer(own_redis: RedisServer, queue: kombu.Queue) -> None:
    gate = Gate(lambda request: None, lambda: 4)
    with Connection(own_redis.url) as connection:
        channel = connection.channel()
        publish(connection, queue, "a", "b")
        consumer, requests = channel.consumer, []
        with kombu.Consumer(channel, [queue], on_message=requests.append):
            drain(connection, 2)
            for message in requests:
                gate.admit(SimpleNamespace(message=message))
            consumer.starts_due, consumer.on_starts_failed = gate.due, gate.undo
            own_redis.stop()
            with pytest.raises(BrokerGoneError):
                consumer.settle()
            assert [start.id for start in gate.due()] == [message.delivery_tag for message in requests]
            own_redis.start()


def test_starts_wait_again_when_a_guard_of_another_task_fails(own_redis: RedisServer, queue: kombu.Queue) -> None:
    broken = [True]

    def admits(request: Any) -> bool:
        if broken and request.message.payload == "b":
            raise BrokerGoneError("a guard found no broker")
        return True

    gate = Gate(lambda request: None, lambda: 4, admits=admits)
    with Connection(own_redis.url) as connection:
        channel = connection.channel()
        publish(connection, queue, "a", "b", "c")
        requests: list[Any] = []
        with kombu.Consumer(channel, [queue], on_message=requests.append):
            drain(connection, 3)
            for message in requests:
                gate.admit(SimpleNamespace(message=message))
            with pytest.raises(BrokerGoneError):
                gate.due()
            broken.clear()
            assert [start.id for start in gate.due()] == [message.delivery_tag for message in requests]


def test_a_queue_that_wakes_its_consumer_again_and_again_does_not_hide_what_nobody_woke_it_for(
    connection: kombu.Connection, queue: kombu.Queue, redis_server: RedisServer
) -> None:
    """Stock producers leave no tokens; the claims that follow a token of another queue must not be of that alone."""
    quiet = kombu.Queue(f"{queue.name}-quiet", kombu.Exchange(f"{queue.name}-quiet"), routing_key="quiet")
    publish(connection, quiet, "from stock")
    client = redis_server.client()
    (unseen,) = client.lrange(quiet.name, 0, -1)
    client.delete(quiet.name, f"{{{quiet.name}}}:hive:wake")
    busy, seldom = Inbox(), Inbox()
    with (
        connection.channel() as channel,
        kombu.Consumer(channel, [queue], on_message=busy),
        kombu.Consumer(channel, [quiet], on_message=seldom),
    ):
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.1)
        client.lpush(quiet.name, unseen)
        with Connection(redis_server.url) as producing:
            for turn in range(1_000):
                publish(producing, queue, turn)
                drain(connection, 1)
                channel.consumer.settle()  # an idle process is what asks one queue alone
                if seldom.bodies:
                    break
    assert seldom.bodies == ["from stock"]
    assert len(busy.bodies) > 1, "it was not woken by the other queue meanwhile"


def test_a_queue_that_is_consumed_from_now_on_need_not_wait_for_the_others(
    redis_server: RedisServer, queue: kombu.Queue
) -> None:
    connection = Connection(redis_server.url, transport_options={"hive": {"poll_every_s": 100.0}})
    first = kombu.Queue(f"{queue.name}-first", queue.exchange, routing_key="first")
    inbox, channel = Inbox(), connection.channel()
    consumer = kombu.Consumer(channel, [first], on_message=inbox)
    consumer.consume()
    with pytest.raises(socket.timeout):
        connection.drain_events(timeout=0.1)
    assert channel._in_poll
    publish(connection, queue, "waits already")
    consumer.add_queue(queue)
    consumer.consume()
    # Well within the wait for the first queue's token (poll_every_s).
    connection.drain_events(timeout=60)
    publish(connection, first, "later")
    connection.drain_events(timeout=60)
    assert inbox.bodies == ["waits already", "later"]
    connection.close()
