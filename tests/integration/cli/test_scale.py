"""``hive scale TYPE SIZE``: what it has done, for programs."""

import json

from tests.support.hive_home import HiveHome
from tests.support.redis_server import RedisServer


def test_a_size_asked_for_is_told_as_json(hive_home: HiveHome, own_redis: RedisServer) -> None:
    def asked(size: str) -> dict[str, object]:
        done = hive_home.run("scale", "code_reviewer", size, "--json", HIVE_BROKER_URL=own_redis.url)
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        return told

    assert asked("999") == {"agent_type": "code_reviewer", "override": 8, "bounds": [1, 8]}
    assert asked("auto")["override"] is None
