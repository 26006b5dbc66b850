"""A breaker over several processes: opens within its window, never more probes than set, a killed prober frees its own."""

import pytest

from hive import BreakerSettings
from hive.guards.circuits import REPORT_EVERY_S
from tests.support.breaker_fleet import BreakerFleet
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

RULES = BreakerSettings(window_s=5, min_calls=10, open_s=0.6, probes=2, probe_lease_s=3)
CYCLES = 6


def test_never_more_probes_than_set_over_the_fleet(own_redis: RedisServer) -> None:
    with BreakerFleet(own_redis, 3, RULES) as fleet:
        for number in range(CYCLES):
            fleet.cycle(fails_again=number % 3 == 1, kills=number == CYCLES - 1)
        lost = fleet.record.lost_probes_total
        calls, scripts = fleet.closed_stretch(2)
    probes = fleet.probes_by_generation()
    assert len(probes) >= CYCLES
    over = {g: count for g, count in probes.items() if count > RULES.probes + fleet.seen.killed[g]}
    assert over == {}
    assert sum(fleet.seen.killed.values()) == lost == 1
    assert max(fleet.seen.opened_after_s) <= RULES.window_s
    # What the broker was asked grows with time and processes, not with calls.
    assert scripts <= 3 * 2 * (1 / REPORT_EVERY_S + 1) < calls / 3
