"""Poison with real workers: every bad message is set aside for the right reason, every honest one is done, unchanged."""

import base64
import json
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from celery.exceptions import NotRegistered
from redis.backoff import NoBackoff
from redis.retry import Retry

from hive.deadletter import DeadLetters, Letter, Selection
from hive.errors import ArgumentsRefusedError
from hive.settings.parts import DeliverySettings
from hive.store.keys import Layout
from hive.store.store import Store
from tests.support.eventually import eventually
from tests.support.payloads import payloads
from tests.support.redis_server import RedisServer
from tests.support.workers import ROOT, WorkerProcess, traces

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

MAX_BYTES = 1_200_000


@pytest.fixture
def environment(own_redis: RedisServer) -> dict[str, str]:
    return {
        "HIVE_HOME": str(own_redis.directory / "home"),
        "HIVE_DEAD_UNKNOWN_TASK_GRACE_S": "2",
        "HIVE_DEAD_WATCH_EVERY_S": "0.2",
        "HIVE_DELIVERY_MAX_MESSAGE_BYTES": str(MAX_BYTES),
    }


def letters(server: RedisServer) -> DeadLetters:
    client = server.client(retry=Retry(NoBackoff(), 0))
    return DeadLetters(Store(client, layout=Layout(), settings=DeliverySettings()), ["celery"])


def found(server: RedisServer, count: int) -> list[Letter]:
    """Return the dead letters once there are ``count`` of them."""
    eventually(lambda: letters(server)._store.dead_count("celery") >= count, what=f"{count} dead letters")
    return list(letters(server).find())


def call(app: Any, name: str, *args: Any, **options: Any) -> Any:
    return app.send_task(f"tests.support.delivery_app.{name}", args, **options)


def message(content: bytes | str, **changes: Any) -> bytes:
    """Return an envelope as kombu writes it, of a call of ``echo``, with some parts changed."""
    number = message.number = getattr(message, "number", 0) + 1  # type: ignore[attr-defined]
    headers = {
        "task": "tests.support.delivery_app.echo",
        "id": f"raw-{number}",
        "retries": 0,
        **changes.pop("headers", {}),
    }
    properties = {
        "delivery_tag": f"tag-{number}",
        "body_encoding": "base64",
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        **changes.pop("properties", {}),
    }
    raw = content.encode() if isinstance(content, str) else content
    envelope = {
        "body": base64.b64encode(raw).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": properties,
        **changes,
    }
    return json.dumps(envelope).encode()


def test_every_bad_payload_is_set_aside_with_the_right_reason_and_every_honest_one_is_done(
    app: Any, own_redis: RedisServer, environment: dict[str, str]
) -> None:
    rows = payloads()
    honest = [row.text for row in rows if row.suite in {"blns", "fuzzdb"} or row.expect == "accept"]
    honest = [text for text in honest if text is not None]
    client = own_redis.client()
    # Before the worker starts, so that one claim holds good and bad ones side by side.
    results, bodies = [], []
    for place, row in enumerate(rows):
        client.lpush("celery", row.raw)
        bodies.append(message(row.raw))
        client.lpush("celery", bodies[-1])
        if place < len(honest):
            results.append(call(app, "echo", honest[place]))
    with WorkerProcess(own_redis, environment=environment, concurrency=4).ready() as worker:
        assert [result.get(timeout=60) for result in results] == honest
        dead = found(own_redis, 2 * len(rows))
        assert call(app, "add", 1, 2).get(timeout=60) == 3
        assert worker.text().count(" ready.") == 1, "the consumer never started anew"

    raw = {letter.stored.payload: letter.stored.reason for letter in dead if not letter.task}
    wrong = [
        (row.suite, row.name, raw[row.raw], row.raw_reasons()) for row in rows if raw[row.raw] not in row.raw_reasons()
    ]
    assert wrong == []
    assert Counter(letter.stored.payload for letter in dead) == Counter([row.raw for row in rows] + bodies)
    in_bodies = {letter.stored.payload: letter.stored.reason for letter in dead if letter.task}
    assert set(in_bodies.values()) == {"undecodable", "invalid_task", "too_deep"}
    assert len(results) == len(honest) > 500
    assert own_redis.client().hlen("{celery}:hive:dead:records") == 2 * len(rows), "nothing honest among them"


HOSTILE = {
    "task is a list": ({"headers": {"task": ["x"]}}, "invalid_task"),
    "id is a list": ({"headers": {"id": ["x"]}}, "invalid_task"),
    "id is half a surrogate pair": ({"headers": {"id": "\ud800"}}, "invalid_task"),
    "retries is text": ({"headers": {"retries": "many"}}, "invalid_task"),
    "time limit is text": ({"headers": {"timelimit": "soon"}}, "invalid_task"),
    "eta is no time": ({"headers": {"eta": "teatime"}}, "invalid_task"),
    "expires is a list": ({"headers": {"expires": [1]}}, "invalid_task"),
    "no such content type": ({"content-type": "application/x-nothing"}, "undecodable"),
    "pickle": ({"content-type": "application/x-python-serialize", "content-encoding": "binary"}, "undecodable"),
    "tag is half a surrogate pair": (
        {"properties": {"delivery_tag": "\ud800"}, "headers": {"task": 5}},
        "invalid_task",
    ),
    "headers without a task": ({"headers": {"task": None}}, "invalid_task"),
    "body is not base64": ({"body": "*"}, "invalid_task"),
    "body is a number": ({"body": 5}, "not_an_envelope"),
    "delivery info is missing": ({"properties": {"delivery_info": None}}, "not_an_envelope"),
}
CALL = '[["x"], {}, {}]'
BODIES = {
    "arguments are a mapping": ("[{}, {}, {}]", "invalid_task"),
    "keyword arguments are a list": ("[[], [], {}]", "invalid_task"),
    "callbacks are a number": ('[["x"], {}, {"callbacks": 5}]', "invalid_task"),
    "one argument too many": ('[["x", "y"], {}, {}]', "wrong_arguments"),
    "unknown keyword": ('[["x"], {"why": 1}, {}]', "wrong_arguments"),
    "600 levels": (f"[[{'[' * 600}{']' * 600}], {{}}, {{}}]", "too_deep"),
    "100,000 levels": (f"[[{'[' * 100_000}{']' * 100_000}], {{}}, {{}}]", "too_deep"),
    "too large": (f'[["{"x" * MAX_BYTES}"], {{}}, {{}}]', "too_large"),
}


def test_hostile_headers_and_bodies_are_set_aside_and_the_worker_goes_on(
    app: Any, own_redis: RedisServer, environment: dict[str, str]
) -> None:
    expected = {message(CALL, **changes): reason for changes, reason in HOSTILE.values()}
    expected.update({message(body): reason for body, reason in BODIES.values()})
    with WorkerProcess(own_redis, environment=environment).ready() as worker:
        results = []
        for raw in expected:
            own_redis.client().lpush("celery", raw)
            results.append(call(app, "echo", {"deep": [[[["in order"]]]] * 300}))
        assert all(result.get(timeout=60)["deep"][0] == [[["in order"]]] for result in results)
        dead = found(own_redis, len(expected))
        assert {letter.stored.payload: letter.stored.reason for letter in dead} == expected
        assert worker.text().count(" ready.") == 1
        # Whatever set them aside, the next look tells of each arrival.
        told = re.compile(r"new dead letters \(\w+\): (\d+)")
        eventually(lambda: sum(map(int, told.findall(worker.text()))) == len(expected))


def test_who_waits_for_a_refused_call_gets_a_failure(
    app: Any, own_redis: RedisServer, environment: dict[str, str]
) -> None:
    with WorkerProcess(own_redis, environment=environment).ready() as worker:
        with pytest.raises(TypeError, match="missing 1 required"):
            call(app, "add", 1).get(timeout=60)
        with pytest.raises(TypeError, match="too many positional"):
            call(app, "order", {"item": "tea", "quantity": 2}, 3).get(timeout=60)
        unknown = [call(app, "no_such_task") for _ in range(2)]
        for result in unknown:
            with pytest.raises(NotRegistered):
                result.get(timeout=60)
        reasons = Counter(letter.stored.reason for letter in found(own_redis, 4))
        # Not for each of them, nor at every look.
        assert worker.text().count("nobody here knows the task") == 1
    assert reasons == {"unknown_task": 2, "wrong_arguments": 2}


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_arguments_a_model_refuses_are_poison_and_a_task_s_own_mistake_is_not(
    app: Any, own_redis: RedisServer, environment: dict[str, str], pool: str
) -> None:
    with WorkerProcess(own_redis, pool=pool, environment=environment).ready():
        assert call(app, "order", {"item": "tea", "quantity": 2}).get(timeout=60) == "tea"
        own = call(app, "order", {"item": "tea", "quantity": 0})
        refused = call(app, "order", {"item": "tea", "quantity": "many"})
        for failed in (own, refused):
            eventually(lambda failed=failed: failed.state == "FAILURE")
        (letter,) = found(own_redis, 1)
        assert (letter.task_id, letter.stored.reason) == (refused.id, "wrong_schema")
        assert "validation error" in letter.stored.traceback
        with pytest.raises(ArgumentsRefusedError, match=r"order .*'wanted': quantity: .*valid integer.* \(got str\)"):
            refused.get(timeout=60)
        assert letter.stored.cause == str(refused.result)
        assert "many" not in letter.stored.cause
        assert letter.call == ([{"item": "tea", "quantity": "many"}], {})
        eventually(lambda: own_redis.client().keys("*inflight*") == [])


def test_an_unknown_task_waits_for_a_worker_that_knows_it(
    app: Any, own_redis: RedisServer, environment: dict[str, str]
) -> None:
    patient = {**environment, "HIVE_DEAD_UNKNOWN_TASK_GRACE_S": "60"}
    with WorkerProcess(own_redis, environment=patient).ready() as old:
        result = call(app, "newcomer", 41)
        eventually(lambda: own_redis.client().zcard("{celery}:hive:scheduled") == 1)
        with WorkerProcess(own_redis, environment={**patient, "DELIVERY_NEWCOMER": "1"}).ready():
            assert old.process.poll() is None
            assert result.get(timeout=60) == 42
    assert list(letters(own_redis).find()) == []
    assert int(own_redis.client().hget("{celery}:hive:counters", "deaths") or 0) == 0


@pytest.mark.parametrize(("task", "how"), [("kill_process", "pool process lost"), ("overtime", "hard time limit")])
def test_what_ends_its_pool_child_three_times_is_shown_with_every_delivery(
    app: Any, own_redis: RedisServer, environment: dict[str, str], task: str, how: str
) -> None:
    with WorkerProcess(own_redis, pool="prefork", environment=environment).ready() as worker:
        killer = call(app, task)
        neighbours = [call(app, "add", n, 1) for n in range(20)]
        found(own_redis, 1)
        assert [result.get(timeout=60) for result in neighbours] == list(range(1, 21))
        assert traces(own_redis).count(killer.id) == 3
        shown = json.loads(hive("show", killer.id, "--json", server=own_redis))
        assert (shown["reason"], shown["task_id"]) == ("max_deliveries", killer.id)
        assert [one["how"].split(":")[0][: len(how)] for one in shown["deliveries"]] == [how] * 3
        assert {one["worker"] for one in shown["deliveries"]} == {node(worker)}
        (kind,) = json.loads(hive("stats", "--json", server=own_redis))["kinds"]
        assert (kind["count"], kind["fingerprint"]) == (1, shown["fingerprint"])

        # Redriven, it fails again, and comes back with both histories.
        assert json.loads(hive("redrive", "--reason", "max_deliveries", "--json", server=own_redis))[0]["redriven"] == 1
        (again,) = eventually(lambda: list(letters(own_redis).find(Selection(reason="max_deliveries"))))
        assert [one.how for one in again.stored.history].count("redriven") == 1
        assert len(again.stored.history) == 7
        assert again.stored.payload == base64.b64decode(shown["payload_b64"])


def hive(*arguments: str, server: RedisServer) -> str:
    command = [sys.executable, "-m", "hive", "dead", *arguments, "--app", "tests.support.delivery_app:app"]
    environ = {"DELIVERY_URL": server.url, "PATH": "", "HIVE_HOME": str(server.directory / "home")}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def node(worker: WorkerProcess) -> str:
    arguments = worker.process.args
    assert isinstance(arguments, list)
    return str(arguments[arguments.index("-n") + 1])
