"""Dead letters on a real broker: read, grouped, redriven, edited, exported, kept within bounds; nothing lost or doubled."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from redis.backoff import NoBackoff
from redis.retry import Retry

from hive.database.archive import ArchiveError
from hive.database.sqlite_archive import SqliteArchive
from hive.deadletter import DeadLetters, Selection
from hive.deadletter.archivist import Archivist
from hive.deadletter.history import DEADLINE, RETRY, past_of
from hive.deadletter.transfer import exported, of_archive, put_back
from hive.errors import InputError
from hive.settings.parts import DeadSettings, DeliverySettings
from hive.store.condemned import Arrival, Condemned, Postponed
from hive.store.keys import Layout
from hive.store.store import Store
from hive.store.values import ConsumerInfo, DeliveryId, Fate, Outcome, Outgoing, Start, StoredResult
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer


class Clock:
    now_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(redis_server: RedisServer, clock: Clock) -> Store:
    return a_store(redis_server, uuid.uuid4().hex + ":", clock)


def a_store(server: RedisServer, prefix: str, clock: Clock | None = None) -> Store:
    client = server.client(retry=Retry(NoBackoff(), 0))
    return Store(client, layout=Layout(prefix=prefix), settings=DeliverySettings(), now_ms=clock)


def envelope(number: int, task: str = "shop.buy") -> bytes:
    body = json.dumps([[number, []], {}, {}])  # an empty list, which Lua's JSON would write as an object
    headers = {"task": task, "id": f"task-{number}", "argsrepr": "", "kwargsrepr": ""}
    properties = {"delivery_tag": f"tag-{number}", "delivery_info": {}}
    return json.dumps({"headers": headers, "properties": properties, "body": body}).encode()


def publish(store: Store, numbers: range, priority: int = 0) -> None:
    store.publish_many(
        [Outgoing(queue="q", payload=envelope(n), message_id=f"tag-{n}", priority=priority) for n in numbers]
    )


def claim(store: Store, consumer: str, queue: str = "q") -> list[DeliveryId]:
    """Claim all there is for a fresh consumer."""
    store.register(consumer, [queue], ConsumerInfo(node=f"{consumer}@host", pid=1, version="0", started_ms=1))
    ids, sequence = [], 0
    while True:
        sequence += 1
        batch = store.claim(consumer, [queue], sequence=sequence, credit=100, idle=not ids).deliveries
        if not batch:
            return ids
        ids += [delivery.id for delivery in batch]


def bury(store: Store, ids: list[DeliveryId], consumer: str, reason: str = "broken") -> None:
    names = store.queue_keys("q").of_consumer(consumer)
    held = store.client.hmget(names[0], [id_.token for id_ in ids])
    tags = [found.group().decode() if (found := re.search(rb"tag-\d+", record)) else None for record in held]
    store.set_aside(
        consumer,
        [
            Condemned(id=id_, reason=reason, cause=f"item {id_.token} is broken", message_id=tag)
            for id_, tag in zip(ids, tags, strict=True)
        ],
    )


def ready(store: Store, queue: str = "q") -> list[bytes]:
    names = store.queue_keys(queue)
    return [payload for key in names.ready for payload in store.client.lrange(key, 0, -1)[::-1]]


def test_ten_thousand_of_one_kind_are_one_line(store: Store) -> None:
    publish(store, range(10_000))
    bury(store, claim(store, "c"), "c")
    publish(store, range(10_000, 10_003))
    bury(store, claim(store, "d"), "d", reason="other")
    kinds = DeadLetters(store, ["q"]).kinds()
    assert [(kind.reason, kind.task, kind.count) for kind in kinds] == [
        ("broken", "shop.buy", 10_000),
        ("other", "shop.buy", 3),
    ]
    assert sum(kind.bytes for kind in kinds) == store.stats("q").counters["dead_bytes"]


def test_a_redrive_is_byte_identical_and_a_second_failure_has_both_histories(store: Store, clock: Clock) -> None:
    publish(store, range(3), priority=6)
    deliveries = claim(store, "first")
    store.start("first", [Start(id=deliveries[0], message_id="tag-0")])
    assert store.reject("first", deliveries[0], "killed by signal 9") is Fate.READY
    bury(store, deliveries[1:], "first")
    bury(store, claim(store, "second"), "second")
    letters = DeadLetters(store, ["q"])
    assert letters.redrive(Selection(), dry_run=True) == 3
    assert ready(store) == []
    clock.now_ms += 5_000
    assert letters.redrive(Selection()) == 3
    assert letters.redrive(Selection()) == 0
    assert store.dead_count("q") == 0
    assert sorted(ready(store)) == [envelope(n) for n in range(3)]
    assert store.client.llen(store.queue_keys("q").ready[2]) == 3

    third = claim(store, "third")
    again = {
        started.id: started.deaths
        for started in store.start("third", [Start(id=i, message_id="tag-0") for i in third[:1]])
    }
    assert list(again.values()) == [0], "the count of starts begins anew"
    bury(store, third, "third", reason="again")
    letter = letters.get("task-0")
    assert [(one.worker, one.how) for one in letter.stored.history] == [
        ("first@host", "killed by signal 9"),
        ("second@host", "set aside: broken"),
        ("", "redriven"),
        ("third@host", "set aside: again"),
    ]
    assert (letter.stored.redriven, letter.stored.reason, letter.task) == (1, "again", "shop.buy")
    assert letter.stored.history[-1].at_ms == clock.now_ms


def test_what_is_done_after_a_redrive_leaves_nothing_behind(store: Store) -> None:
    publish(store, range(1))
    bury(store, claim(store, "first"), "first")
    assert DeadLetters(store, ["q"]).redrive(Selection()) == 1
    (delivery,) = claim(store, "second")
    store.start("second", [Start(id=delivery, message_id="tag-0")])
    store.finish("second", [delivery])
    assert store.client.hgetall(store.queue_keys("q").key("deaths")) == {}
    assert store.stats("q").counters["dead_bytes"] == 0


def test_bytes_that_name_no_message_keep_their_history_too(store: Store) -> None:
    store.client.lpush(store.queue_keys("q").ready[0], b"\xff garbage")
    bury(store, claim(store, "first"), "first", reason="not_utf8")
    assert DeadLetters(store, ["q"]).redrive(Selection()) == 1
    bury(store, claim(store, "second"), "second", reason="not_utf8")
    (letter,) = DeadLetters(store, ["q"]).find()
    assert [one.how for one in letter.stored.history] == ["set aside: not_utf8", "redriven", "set aside: not_utf8"]
    assert (letter.stored.payload, letter.stored.message_id, letter.task) == (b"\xff garbage", None, "")


@pytest.mark.slow
def test_a_redrive_killed_anywhere_loses_and_doubles_nothing(own_redis: RedisServer, rng: random.Random) -> None:
    """Each run is killed at another moment, then the same command does the rest."""
    store = a_store(own_redis, "")
    publish(store, range(4_000))
    bury(store, claim(store, "c"), "c")
    code = (
        "import sys; from tests.integration.deadletter.test_letters import a_store, DeadLetters, RedisServer, Selection;"
        "server = RedisServer(); server.port = int(sys.argv[1]);"
        "DeadLetters(a_store(server, ''), ['q']).redrive(Selection(), per_second=20_000)"
    )
    kills = 0
    while store.dead_count("q"):
        before = store.dead_count("q")
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(own_redis.port)], cwd=Path(__file__).parents[3], env=os.environ.copy()
        )
        below = before - rng.randrange(1, 1_200)
        eventually(lambda below=below, process=process: store.dead_count("q") < below or process.poll() is not None)
        if process.poll() is None and store.dead_count("q"):
            kills += 1
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert kills >= 2, "the redrive was never killed halfway"
    assert sorted(ready(store)) == sorted(envelope(n) for n in range(4_000))
    assert store.stats("q").counters["redriven"] == 4_000


def test_a_failure_and_its_letter_are_written_together_or_not_at_all(store: Store) -> None:
    publish(store, range(1, 2))
    (delivery,) = claim(store, "c")
    condemned = Condemned(id=delivery, reason="poison", cause="why", message_id="tag-1", traceback="where")
    result = StoredResult(key=f"{store.layout.prefix}result", value=b"failed", ttl_ms=60_000)
    assert store.set_aside_with_result("stranger", condemned, result) is Outcome.STALE
    assert (store.dead_count("q"), store.client.get(result.key)) == (0, None)
    assert store.set_aside_with_result("c", condemned, result) is Outcome.DONE
    assert store.client.get(result.key) == b"failed"
    (letter,) = DeadLetters(store, ["q"]).find()
    assert (letter.stored.reason, letter.stored.traceback, letter.stored.payload) == ("poison", "where", envelope(1))
    assert store.stats("q").in_flight == 0
    assert store.set_aside_with_result("c", condemned, replace(result, value=b"again")) is Outcome.ALREADY
    assert store.client.get(result.key) == b"failed"


def test_a_thousand_set_aside_in_one_step_are_all_there_and_a_repeat_changes_nothing(store: Store) -> None:
    publish(store, range(1_200))
    condemned = [Condemned(id=one, reason="test", cause="test") for one in claim(store, "c")]
    assert set(store.set_aside("c", condemned)) == {Outcome.DONE}
    assert set(store.set_aside("c", condemned)) == {Outcome.ALREADY}
    letters = list(DeadLetters(store, ["q"]).find())
    payloads = [envelope(number) for number in range(1_200)]
    assert sorted(letter.stored.payload for letter in letters) == sorted(payloads)
    assert {letter.stored.history[-1].worker for letter in letters} == {"c@host"}
    counters = store.stats("q").counters
    assert (counters["dead"], counters["dead_bytes"]) == (1_200, sum(map(len, payloads)))


def test_a_redrive_afresh_takes_what_is_used_up_out_of_the_bytes(store: Store, clock: Clock) -> None:
    past = json.loads(envelope(1))
    past["headers"] |= {"retries": 8, "expires": "2020-01-01T00:00:00", DEADLINE: clock.now_ms - 1, RETRY: {"bin": 1}}
    for payload in (json.dumps(past).encode(), envelope(2), b"no json"):
        store.publish(Outgoing(queue="q", payload=payload, message_id=str(len(payload))))
    bury(store, claim(store, "c"), "c")
    letters = DeadLetters(store, ["q"])
    told = [past_of(letter.headers, clock.now_ms) for letter in letters.find()]
    assert sorted((one.is_late, one.retries) for one in told) == [(False, 0), (False, 0), (True, 8)]
    assert letters.redrive(Selection(), fresh=True) == 3
    payloads = ready(store)
    assert envelope(2) in payloads
    assert b"no json" in payloads
    (fresh,) = (json.loads(one) for one in payloads if b"expires" in one)
    headers = {name: value for name, value in past["headers"].items() if name not in {DEADLINE, RETRY}}
    assert fresh == past | {"headers": headers | {"retries": 0, "expires": None}}


def test_a_rate_spreads_a_redrive(store: Store) -> None:
    publish(store, range(50))
    bury(store, claim(store, "c"), "c")
    waited: list[float] = []

    class Still:
        def wall_ms(self) -> int:
            return 0

        def monotonic_s(self) -> float:
            return sum(waited)

    letters = DeadLetters(store, ["q"], clock=Still(), pause=waited.append)
    assert letters.redrive(Selection(), per_second=20.0) == 50
    assert sum(waited) == pytest.approx(50 / 20)
    assert len(waited) == 25


def test_filters_choose_and_another_queue_receives(store: Store, clock: Clock) -> None:
    publish(store, range(4))
    bury(store, claim(store, "c"), "c", reason="early")
    clock.now_ms += 60_000
    publish(store, range(4, 6))
    bury(store, claim(store, "d"), "d", reason="late")
    letters = DeadLetters(store, ["q"])
    fingerprint = letters.get("task-5").fingerprint

    def chosen(**parts: object) -> list[str]:
        return [letter.task_id for letter in letters.find(Selection(**parts))]  # type: ignore[arg-type]

    assert chosen(reason="late") == chosen(younger_than_s=30) == chosen(fingerprint=fingerprint) == ["task-4", "task-5"]
    assert chosen(older_than_s=30) == [f"task-{n}" for n in range(4)]
    assert chosen(ids=frozenset({"task-2"})) == ["task-2"]
    assert chosen(task="shop.sell") == chosen(cause="no such words") == []
    assert letters.redrive(Selection(reason="late"), to="other") == 2
    assert ready(store, "other") == [envelope(4), envelope(5)]
    assert [letter.task_id for letter in letters.find()] == [f"task-{n}" for n in range(4)]
    assert letters.purge(Selection(reason="early", ids=frozenset({"task-0"}))) == 1
    assert [letter.task_id for letter in letters.find()] == ["task-1", "task-2", "task-3"]


def test_edited_arguments_keep_the_ids(store: Store) -> None:
    publish(store, range(1))
    bury(store, claim(store, "c"), "c")
    letters = DeadLetters(store, ["q"])
    stale = letters.get("task-0")
    assert letters.edit("task-0", args=["new"], kwargs={"deep": True}).call == (["new"], {"deep": True})
    assert not store.dead_edit(stale.stored, b"{}"), "an edit of what somebody else edited meanwhile"
    assert letters.redrive(Selection()) == 1
    moved = json.loads(ready(store)[0])
    assert json.loads(moved["body"]) == [["new"], {"deep": True}, {}]
    assert (moved["headers"]["id"], moved["properties"]) == ("task-0", json.loads(envelope(0))["properties"])
    with pytest.raises(InputError, match="no dead letter"):
        letters.edit("task-0", args=[])


def test_the_oldest_past_the_bounds_are_archived_counted_and_come_back(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    publish(store, range(30))
    ids = claim(store, "c")
    for id_ in ids:
        clock.now_ms += 1_000
        bury(store, [id_], "c")
    archive = SqliteArchive(tmp_path / "home" / "letters.sqlite")
    told: list[Arrival] = []

    def tell(arrivals: Sequence[Arrival]) -> list[str]:
        told.extend(arrivals)
        return [arrival.id for arrival in arrivals]

    def archivist(**bounds: int) -> Archivist:
        return Archivist(
            lambda: store, lambda: ["q"], archive, DeadSettings(**bounds), lambda _, arrivals: tell(arrivals)
        )

    letters = DeadLetters(store, ["q"])
    assert archivist().run_once() == 0
    assert [arrival.reason for arrival in told] == ["broken"] * 30
    assert archivist(max_count=20).run_once() == 10
    assert archivist(max_age_s=15).run_once() == 4
    size = len(envelope(20))
    assert archivist(max_bytes=10 * size).run_once() == 6
    assert len(told) == 30, "an arrival is told of once"
    assert [letter.task_id for letter in letters.find()] == [f"task-{n}" for n in range(20, 30)]
    assert (archive.count("q"), store.stats("q").counters["archived"]) == (20, 20)

    lines = [exported(of_archive(one)) for one in archive.letters("q")]
    assert put_back(store, lines) == (20, 20)
    assert put_back(store, lines) == (20, 0)
    assert [letter.task_id for letter in letters.find()] == [f"task-{n}" for n in range(30)]
    assert letters.redrive(Selection()) == 30
    assert sorted(ready(store)) == sorted(envelope(n) for n in range(30))
    with pytest.raises(InputError, match="line 2"):
        put_back(store, [lines[0], "{}"])
    binary = tmp_path / "letters.jsonl"
    binary.write_bytes(b"\xea\x00\n")
    with (
        binary.open(encoding="utf-8") as opened,
        pytest.raises(InputError, match="line 1 is no exported dead letter: it is no text"),
    ):
        put_back(store, opened)


def test_an_archive_that_cannot_be_written_leaves_the_letters_on_the_broker(store: Store, tmp_path: Path) -> None:
    publish(store, range(3))
    bury(store, claim(store, "c"), "c")
    (tmp_path / "file").write_text("no directory")
    archive = SqliteArchive(tmp_path / "file" / "letters.sqlite")
    archivist = Archivist(
        lambda: store,
        lambda: ["q"],
        archive,
        DeadSettings(max_count=1),
        lambda _, arrivals: [one.id for one in arrivals],
    )
    with pytest.raises(ArchiveError):
        archivist.run_once()
    assert store.dead_count("q") == 3


def test_what_nobody_was_told_of_is_not_archived(store: Store, clock: Clock, tmp_path: Path) -> None:
    publish(store, range(3))
    for id_ in claim(store, "c"):
        clock.now_ms += 1_000
        bury(store, [id_], "c")
    archive = SqliteArchive(tmp_path / "home" / "letters.sqlite")
    is_away, told = [True], list[str]()

    def tell(_: str, arrivals: Sequence[Arrival]) -> list[str]:
        # The result backend is away from the second letter on: who waits for that one would wait for ever.
        told.extend(arrival.id for arrival in arrivals[: 1 if is_away[0] else None])
        return told

    archivist = Archivist(lambda: store, lambda: ["q"], archive, DeadSettings(max_count=1), tell)
    assert archivist.run_once() == 1
    assert (store.dead_count("q"), len(told)) == (2, 1)
    is_away[0] = False
    clock.now_ms += 60_000
    assert archivist.run_once() == 1
    assert (store.dead_count("q"), len(set(told)), archive.count("q")) == (1, 3, 2)


def test_what_cannot_be_told_of_keeps_nothing_else_from_the_archive(store: Store, tmp_path: Path) -> None:
    # On a full broker, say, results cannot be written, and the archive is what makes room.
    publish(store, range(3))
    bury(store, claim(store, "c"), "c")
    archive = SqliteArchive(tmp_path / "home" / "letters.sqlite")
    is_full = [False]

    def tell(_: str, arrivals: Sequence[Arrival]) -> list[str]:
        if is_full[0]:
            raise LookupError("the result cannot be written")
        return [arrival.id for arrival in arrivals]

    Archivist(lambda: store, lambda: ["q"], archive, DeadSettings(), tell).run_once()
    is_full[0] = True
    publish(store, range(3, 4))
    bury(store, claim(store, "d"), "d")
    with pytest.raises(LookupError):
        Archivist(lambda: store, lambda: ["q"], archive, DeadSettings(max_count=1), tell).run_once()
    assert (store.dead_count("q"), archive.count("q")) == (1, 3)


def test_a_grace_time_begins_once_and_counts_nothing(store: Store, clock: Clock) -> None:
    publish(store, range(1))
    for moment in range(3):
        (delivery,) = claim(store, f"c{moment}")
        waits = store.postpone(f"c{moment}", delivery, "tag-0", grace_s=10, look_s=4)
        assert waits is Postponed.WAITS
        assert store.postpone(f"c{moment}", delivery, "tag-0", grace_s=10, look_s=4) is Postponed.ALREADY
        assert claim(store, f"early{moment}") == []
        clock.now_ms += 4_000 if moment < 2 else 2_000
    (delivery,) = claim(store, "last")
    assert store.postpone("last", delivery, "tag-0", grace_s=10, look_s=4) is Postponed.OVER
    assert store.stats("q").in_flight == 1
    assert store.stats("q").counters.get("deaths") is None
    bury(store, [delivery], "last", reason="unknown_task")
    assert [letter.stored.reason for letter in DeadLetters(store, ["q"]).find()] == ["unknown_task"]


def test_three_workers_that_died_under_a_message_are_all_named(store: Store, clock: Clock) -> None:
    publish(store, range(1))
    for place in range(3):
        (delivery,) = claim(store, f"c{place}")
        store.start(f"c{place}", [Start(id=delivery, message_id="tag-0")])
        for _ in range(6):
            store.tick(["q"])
            clock.now_ms += 1_400
        assert store.tick(["q"])[0].expired == (f"c{place}",)
        assert store.reap("q", f"c{place}").reaped
    letter = DeadLetters(store, ["q"]).get("task-0")
    assert (letter.stored.reason, letter.stored.payload) == ("max_deliveries", envelope(0))
    assert [(one.worker, one.consumer) for one in letter.stored.history] == [(f"c{n}@host", f"c{n}") for n in range(3)]
    assert [arrival.reason for arrival in store.dead_arrivals("q").arrived] == ["max_deliveries"]
    assert store.release_queue("q").dead == 1
    assert store.stats("q").counters["dead_bytes"] == 0
