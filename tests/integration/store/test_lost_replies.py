"""Every operation whose reply is lost after the script ran may be repeated: it takes effect once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import redis

from hive.settings.parts import DeliverySettings
from hive.store import BrokerGoneError, Layout, Store, never_repeating
from hive.store.values import ConsumerInfo, Delivery, Fate, Outcome, Outgoing, Start, StoredResult
from tests.support.redis_server import RedisServer

INFO = ConsumerInfo(node="celery@test", pid=1, version="0", started_ms=0)
NUMBER = count()


class LosesReplies(redis.Redis):
    """A client whose connection breaks when the reply to a script is on its way, once."""

    broken = False

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        reply = super().execute_command(*arguments, **options)
        if arguments[0] in {"EVALSHA", "EVAL"} and not self.broken:
            self.broken = True
            raise redis.ConnectionError("reset by peer")
        return reply


@dataclass
class Scene:
    """A queue with one message in flight and started, one only claimed, and two that wait."""

    store: Store
    flaky: Store
    now_ms: int
    started: Delivery
    claimed: Delivery

    def totals(self) -> tuple[int, ...]:
        stats = self.store.stats("q")
        return sum(stats.ready.values()), stats.scheduled, stats.suspects, stats.in_flight, stats.dead


@pytest.fixture
def scene(redis_server: RedisServer) -> Iterator[Scene]:
    now = [1_800_000_000_000]
    layout = Layout(prefix=f"lost{next(NUMBER)}-")
    made: list[Store] = []
    for kind in (redis.Redis, LosesReplies):
        client = kind(host="127.0.0.1", port=redis_server.port, retry=never_repeating())
        made.append(Store(client, layout=layout, settings=DeliverySettings(), now_ms=lambda: now[0]))
    store, flaky = made
    store.register("c", ["q"], INFO)
    store.publish_many([Outgoing(queue="q", payload=id_.encode(), message_id=id_) for id_ in ("a", "b", "x", "y")])
    started, claimed = store.claim("c", ["q"], sequence=1, credit=2).deliveries
    store.start("c", [Start(id=started.id, message_id="a")])
    # Scripts are known to the server, so that the reply that gets lost is that of the script itself.
    yield Scene(store, flaky, now[0], started, claimed)
    for one in made:
        one.client.close()


NEW = Outgoing(queue="q", payload=b"new", message_id="new", dedup_id="new")
LATER = Outgoing(queue="q", payload=b"new", message_id="new", dedup_id="new", due_ms=1_900_000_000_000)
RESULT = StoredResult(key="lost-result", value=b"1", ttl_ms=1000)

# Operation, what its repeat replies, and (ready, scheduled, suspects, in flight, dead) afterwards.
CASES: dict[str, tuple[Callable[[Store, Scene], Any], Any, tuple[int, ...]]] = {
    "publish": (lambda store, _: store.publish(NEW), False, (3, 0, 0, 2, 0)),
    "schedule": (lambda store, _: store.publish(LATER), False, (2, 1, 0, 2, 0)),
    "claim": (
        lambda store, _: [one.payload for one in store.claim("c", ["q"], sequence=2, credit=9).deliveries],
        [b"x", b"y"],
        (0, 0, 0, 4, 0),
    ),
    "start": (
        lambda store, scene: store.start("c", [Start(id=scene.claimed.id, message_id="b")])[0].outcome,
        Outcome.DONE,
        (2, 0, 0, 2, 0),
    ),
    "finish": (lambda store, scene: store.finish("c", [scene.started.id]), (Outcome.ALREADY,), (2, 0, 0, 1, 0)),
    "finish_with_result": (
        lambda store, scene: store.finish_with_result("c", scene.started.id, RESULT),
        Outcome.ALREADY,
        (2, 0, 0, 1, 0),
    ),
    "retry": (lambda store, scene: store.retry("c", scene.started.id, LATER), Outcome.ALREADY, (2, 1, 0, 1, 0)),
    "reschedule": (
        lambda store, scene: store.reschedule("c", scene.claimed.id, "b", 1_900_000_000_000),
        Outcome.ALREADY,
        (2, 1, 0, 1, 0),
    ),
    "requeue": (lambda store, scene: store.requeue("c", [scene.claimed.id]), (Outcome.ALREADY,), (3, 0, 0, 1, 0)),
    "reject": (lambda store, scene: store.reject("c", scene.started.id, "killed"), Fate.ALREADY, (3, 0, 0, 1, 0)),
    "dead_letter": (
        lambda store, scene: store.dead_letter("c", scene.claimed.id, reason="undecodable", cause="no JSON"),
        Outcome.ALREADY,
        (2, 0, 0, 1, 1),
    ),
    "register": (lambda store, _: store.register("c", ["q"], INFO)[0].epoch, 1, (2, 0, 0, 2, 0)),
    "renew": (lambda store, _: store.renew("c", ["q"])[0].in_flight, 2, (2, 0, 0, 2, 0)),
    "reconcile": (lambda store, _: store.reconcile("c", "q", [], 1), 0, (4, 0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_lost_reply_is_repeated_without_harm(scene: Scene, name: str) -> None:
    operation, reply, totals = CASES[name]
    with pytest.raises(BrokerGoneError, match="reset by peer"):
        operation(scene.flaky, scene)
    assert scene.totals() == totals
    assert operation(scene.flaky, scene) == reply
    assert scene.totals() == totals
