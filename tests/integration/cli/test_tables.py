"""Tables for people: what is there to be copied is whole, however narrow the terminal, and all of it is in a pipe."""

import pytest

from hive import Hive, load_settings
from tests.support.hive_home import HiveHome
from tests.support.redis_server import RedisServer

QUEUE = "a_queue_whose_name_takes_more_than_half_of_a_line"


@pytest.mark.parametrize("columns", ["80", ""], ids=["terminal", "pipe"])
def test_a_dead_letter_can_be_named_by_its_id(hive_home: HiveHome, redis_server: RedisServer, columns: str) -> None:
    queue = f"{QUEUE}{columns}"
    bound = {"max_length": 1, "when_full": "shed"}
    app = Hive("narrow", broker=redis_server.url, settings=load_settings(backpressure={"queues": {queue: bound}}))
    for _ in range(2):
        app.send_task("narrow.task", queue=queue)
    app.close()
    variables = {"HIVE_BROKER_URL": redis_server.url, "HIVE_APP": "", "COLUMNS": columns}
    listed = hive_home.run("dead", "list", "--queue", queue, **variables)
    assert listed.returncode == 0, listed.stderr
    heading, first, *more = listed.stdout.splitlines()
    assert heading.split()[0] == "id"
    shown = hive_home.run("dead", "show", first.split()[0], "--queue", queue, **variables)
    assert shown.returncode == 0, shown.stderr
    assert max(len(line) for line in [heading, first, *more]) <= 80 or not columns
    if not columns:
        assert more == []
        assert first.split()[1:3] == [queue, "shed"]
