"""``hive bench`` measures both sides at the same work, and leaves a broker that is not its own as it was."""

import json
import subprocess
import sys

import pytest

from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


def bench(*arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "hive", "bench", *arguments, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_throughput_on_a_broker_of_the_users(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("mine", "untouched")
        said = bench("throughput", "--tasks", "300", "--rounds", "1", "--broker", own_redis.url)
        assert client.keys("*") == [b"mine"]
    (round_,) = said["rounds"]  # type: ignore[misc]
    for side in ("hive", "stock"):
        assert round_[side]["tasks_per_s"] > 0
        assert round_[side]["run_more_than_once"] == 0
    # Stock pops, records and acknowledges each task by itself; hive does so for many at once.
    assert round_["hive"]["requests_per_task"] <= 0.5
    assert round_["stock"]["requests_per_task"] >= 2
    assert {"commit", "versions", "machine", "conditions", "broker", "summary"} <= set(said)


def test_a_crash_loses_nothing() -> None:
    said = bench("crash", "--tasks", "60", "--kills", "1", "--rounds", "1", "--limit-s", "15", "--processes", "1")
    (round_,) = said["rounds"]  # type: ignore[misc]
    assert round_["hive"]["lost"] == 0
