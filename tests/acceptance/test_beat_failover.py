"""Real beats, whose leader is killed, frozen, cut off and stopped: nothing missed, nothing twice."""

import random
from pathlib import Path

from tests.support.beat_fleet import BeatFleet, Fault, faults
from tests.support.redis_server import RedisServer

#: Short, so that the test is; the setting's own is in the benchmark.
HOLD_S = 0.6


def test_no_due_time_is_lost_or_sent_twice(own_redis: RedisServer, rng: random.Random, tmp_path: Path) -> None:
    with BeatFleet(own_redis, count=3, hold_s=HOLD_S, log=tmp_path / "log") as fleet:
        taken_s = {fault: fleet.fault(fault) for fault in [*faults(rng, 3), Fault.STOPPED]}
        fleet.settle()
        assert fleet.crashes() == 0
        tally = fleet.tally()
    print((tmp_path / "log").read_text()[-4000:])
    assert (tally.lost, tally.duplicated, tally.unexpected) == (0, 0, 0)
    assert tally.sent > 50
    assert fleet.terms == sorted(set(fleet.terms))
    assert max(taken_s.values()) < 20
