"""What an operator is told before a redrive that would be in vain, and how queues are named."""

import json

from hive import Hive, load_settings
from tests.support.hive_home import HiveHome
from tests.support.redis_server import RedisServer

QUEUE = "redriven"


def test_a_redrive_says_what_ends_at_once_and_afresh_nothing_does(
    hive_home: HiveHome, redis_server: RedisServer
) -> None:
    bound = {"max_length": 1, "when_full": "shed"}
    app = Hive("redriving", broker=redis_server.url, settings=load_settings(backpressure={"queues": {QUEUE: bound}}))
    app.send_task("shop.first", queue=QUEUE)
    app.send_task("shop.late", queue=QUEUE, deadline_s=0.0)
    variables = {"HIVE_BROKER_URL": redis_server.url, "HIVE_APP": ""}

    def rows(*words: str) -> tuple[list[dict[str, object]], str]:
        ran = hive_home.run(*words, "--json", **variables)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout), ran.stderr

    # The same queue, by argument and by option.
    for words in (("dead", "list", QUEUE), ("dead", "list", "-q", QUEUE)):
        assert [letter["task"] for letter in rows(*words)[0]] == ["shop.late"]
    for words in (("queue", "list", QUEUE), ("queue", "list", "-q", QUEUE)):
        assert [(one["queue"], one["dead"]) for one in rows(*words)[0]] == [(QUEUE, 1)]

    mistyped = hive_home.run("dead", "redrive", "--reason", "sheed", **variables)
    assert (mistyped.returncode, mistyped.stdout) == (2, "")
    assert "'shed'" in mistyped.stderr
    meant = {"meant": 1, "late": 1, "retried": 0}
    found, said = rows("dead", "redrive", "-q", QUEUE, "--dry-run")
    assert found == [{"redriven": 0, **meant}]
    assert "1 of them would end at once" in said
    unfiltered = hive_home.run("dead", "redrive", "-q", QUEUE, **variables)
    assert (unfiltered.returncode, unfiltered.stdout) == (2, "")
    assert "--all" in unfiltered.stderr
    assert len(rows("dead", "list", QUEUE)[0]) == 1
    found, said = rows("dead", "redrive", "-q", QUEUE, "--fresh", "--all")
    assert found == [{"redriven": 1, **meant}]
    assert "at once" not in said
    ready = app.access.store.client.lrange(QUEUE, 0, -1)
    (headers,) = (json.loads(one)["headers"] for one in ready if b"shop.late" in one)
    assert "hive_deadline_ms" not in headers
    app.close()
