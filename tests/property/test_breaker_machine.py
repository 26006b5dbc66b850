"""The breaker's scripts do what the pure machine does, step by step, and neither gives out more probes than are set."""

import random

import pytest

from hive.resilience.breaker import BreakerMachine, BreakerState, CallOutcome
from hive.settings.parts import BreakerSettings, DeliverySettings
from hive.store.breakers import CallCounts
from hive.store.connection import connect
from hive.store.keys import Layout
from hive.store.store import Store
from tests.support.redis_server import RedisServer

STEPS = 3_000


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.mark.parametrize("failure_count", [0, 6])
def test_scripts_and_machine_agree(redis_server: RedisServer, rng: random.Random, failure_count: int) -> None:
    clock = Clock()
    prefix = f"breaker-{rng.random()}-{failure_count}:"
    store = Store(
        connect(redis_server.url), layout=Layout(prefix=prefix), settings=DeliverySettings(), now_ms=clock
    )  # fmt: skip
    rules = BreakerSettings(
        window_s=10, min_calls=5, failure_count=failure_count, open_s=3, probes=2, probe_lease_s=4
    )  # fmt: skip
    machine = BreakerMachine(rules)
    tokens = [f"t{number}" for number in range(6)]
    seen = set()
    for step in range(STEPS):
        clock.now_ms += rng.choice([0, 1, 200, 1_000, 2_500])
        what, token = rng.choice(["report", "report", "probe", "probe", "settle", "renew"]), rng.choice(tokens)
        generation = rng.choice([0, machine.report(clock.now_ms, 0, 0, 0).generation, 1])
        answered, failed = rng.randrange(4), rng.choice([0, 0, 1, 3])
        outcome = rng.choice([CallOutcome.ANSWERED, CallOutcome.ANSWERED, CallOutcome.FAILED, CallOutcome.NEITHER])
        if what == "report":
            counts = CallCounts(generation=generation, answered=answered, failed=failed)
            ours = machine.report(clock.now_ms, generation, answered, failed)
            theirs = store.breaker_report("b", rules, counts)
        elif what == "probe":
            ours, theirs = machine.probe(clock.now_ms, token), store.breaker_probe("b", rules, token)
        elif what == "settle":
            ours = machine.settle(clock.now_ms, token, outcome)
            theirs = store.breaker_settle("b", rules, token, outcome)
        else:
            machine.renew(clock.now_ms, token)
            ours = machine.report(clock.now_ms, 0, 0, 0)
            theirs = store.breaker_report("b", rules, CallCounts(probes=[token]))
        assert ours == theirs, f"step {step}: {what} {token}"
        seen.add(ours.state)
        record = store.breaker("b")
        assert record is None or record.probes_out + record.probes_answered <= rules.probes
    assert seen == set(BreakerState)
