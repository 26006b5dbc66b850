"""One scaler acts at a time, and one that has been overtaken changes nothing."""

import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hive import Hive
from hive.agents import BUILTIN, FALLBACK, Registry
from hive.agents.types import Concurrency
from hive.errors import SettingsError
from hive.runtime.supervision.actuators import Command
from hive.runtime.supervision.fleet_scaler import FleetScaler
from hive.settings.load import load_settings
from hive.store.leadership import Leadership
from hive.store.scaling import SCALING
from hive.store.store import Store
from hive.store.values import ConsumerInfo, Outgoing
from hive.testing import ManualClock
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer

HOLD_S = 1.5
TYPE = "code_reviewer"


class Recorder:
    """An actuator that does as it is told, on paper."""

    def __init__(self) -> None:
        self.orders: list[dict[str, int]] = []
        self.stood_by = 0

    def have(self, workers: Mapping[str, int]) -> set[str]:
        self.orders.append(dict(workers))
        return set(workers)

    def stand_by(self) -> None:
        self.stood_by += 1


@pytest.fixture
def made(own_redis: RedisServer) -> Callable[..., tuple[Hive, FleetScaler, Recorder]]:
    def make(least: int = 1, **parts: Any) -> tuple[Hive, FleetScaler, Recorder]:
        bounds = {"concurrency": Concurrency(minimum=1, maximum=2), "workers": Concurrency(minimum=least, maximum=9)}
        types = Registry(
            agent.model_copy(update=bounds if agent.name == TYPE else {})
            for agent in BUILTIN
            if agent.name in {TYPE, FALLBACK}
        )
        settings = load_settings(scaling={"hold_s": HOLD_S, "memory_mb": 100_000}, **parts)
        app = Hive("fleet", broker=own_redis.url, settings=settings, agent_types=types)
        app.process.clock = ManualClock()
        recorder = Recorder()
        return app, FleetScaler(app, [types[TYPE]], recorder), recorder

    return make


def _publish(app: Hive, count: int) -> None:
    with app.batch():
        for _ in range(count):
            app.send_task("t", queue=f"agent.{TYPE}")


def test_a_scaler_that_froze_and_was_overtaken_changes_nothing(
    made: Callable[..., tuple[Hive, FleetScaler, Recorder]],
) -> None:
    (app, first, acted), (_, second, other) = made(), made()
    assert [one.workers for one in first.run_once() or ()] == [1]
    assert acted.orders == [{TYPE: 1}]
    assert second.run_once() is None
    old = first.term
    # The first one freezes: its clock stands still. Its time is over, and the second one leads.
    eventually(second.run_once, what="the other leads")
    assert other.orders == [{TYPE: 1}]
    _publish(app, 200)
    # It is back, and takes itself for the leader still. What it decides is refused before it is carried out.
    assert first.term == old
    assert first.run_once() is None
    assert (acted.orders, acted.stood_by, first.term) == ([{TYPE: 1}], 1, None)
    store: Store = app.access.store
    assert store.scaling_history(TYPE) == []
    decided = second.run_once()
    assert decided is not None
    assert other.orders[-1] == {TYPE: decided[0].workers}
    assert decided[0].workers > 1
    assert len(store.scaling_history(TYPE)) == 1
    assert second.term is not None
    assert old is not None
    assert second.term.number > old.number


def test_what_came_in_the_minute_in_which_a_scaler_is_stopped_is_kept(
    made: Callable[..., tuple[Hive, FleetScaler, Recorder]],
) -> None:
    app, scaler, _ = made()
    minute = app.process.clock.wall_ms() // 60_000
    assert scaler.run_once() is not None
    _publish(app, 50)
    assert scaler.run_once() is not None
    stopped = threading.Event()
    stopped.set()
    scaler.run(stopped)
    assert app.access.store.arrivals(TYPE, 0) == {minute: 50}


def test_what_an_actuator_cannot_do_is_ordered_again(
    made: Callable[..., tuple[Hive, FleetScaler, Recorder]], tmp_path: Path
) -> None:
    app, _, _ = made()
    told, ready = tmp_path / "told", tmp_path / "ready"
    script = tmp_path / "scale.py"
    script.write_text(
        f"import pathlib, sys\nopen({str(told)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"sys.exit(0 if pathlib.Path({str(ready)!r}).exists() else 3)\n"
    )
    command = Command(f"{sys.executable} {script} type={{agent_type}} {{workers}}")
    scaler = FleetScaler(app, [app.agent_types[TYPE]], command)
    app.access.store.override_size(TYPE, 6)
    eventually(lambda: scaler.run_once() and told.exists() and told.read_text().count("\n") > 2)
    ready.touch()
    eventually(lambda: scaler.run_once() and scaler._ordered.get(TYPE) == 3, what="the command has succeeded")
    count = told.read_text().count("\n")
    assert set(told.read_text().splitlines()) == {f"type={TYPE} 3"}
    for _ in range(5):
        scaler.run_once()
    assert told.read_text().count("\n") == count


def test_what_was_recorded_before_a_freeze_is_not_carried_out_after_it(
    made: Callable[..., tuple[Hive, FleetScaler, Recorder]],
) -> None:
    app, scaler, acted = made()
    assert scaler.run_once() is not None
    acted.orders.clear()
    _publish(app, 200)
    store: Store = app.access.store
    other = Leadership(store, SCALING, "other", 60)

    def freeze(step: str, when: str) -> None:
        if (step, when) == ("record_scaling", "after"):
            store.at = None
            app.process.clock.advance(2 * HOLD_S)
            eventually(other.campaign, what="the other leads")

    store.at = freeze
    assert scaler.run_once() is None
    assert (acted.orders, acted.stood_by) == ([], 1)


def test_sizes_of_a_scaler_that_was_killed_are_given_up_where_another_took_over(
    made: Callable[..., tuple[Hive, FleetScaler, Recorder]],
) -> None:
    app, restarted, acted = made()
    assert Leadership(app.access.store, SCALING, "elsewhere", 60).campaign() is not None
    # What supervises the killed one has started it again, and still has the workers that were ordered. It may be about to
    # lead again: the lead of the killed one has not ended yet, as far as it knows.
    for _ in range(3):
        assert restarted.run_once() is None
        app.process.clock.advance(HOLD_S / 2)
    assert acted.stood_by == 0
    for _ in range(3):
        app.process.clock.advance(2 * HOLD_S)
        assert restarted.run_once() is None
    assert (acted.stood_by, acted.orders) == (1, [])


def test_workers_are_ordered_on_a_full_broker_which_needs_them_most(
    made: Callable[..., tuple[Hive, FleetScaler, Recorder]], own_redis: RedisServer
) -> None:
    app, scaler, acted = made()
    assert scaler.run_once() is not None
    _publish(app, 500)
    own_redis.client().config_set("maxmemory", "1mb")
    # A minute is over, and its arrivals cannot be kept for forecasts.
    app.process.clock.advance(60)
    decided = scaler.run_once()
    assert decided is not None
    assert decided[0].workers > 1
    assert acted.orders[-1] == {TYPE: decided[0].workers}


def test_a_type_that_cannot_start_leaves_the_budget_to_the_others(own_redis: RedisServer) -> None:
    bounds = {"concurrency": Concurrency(minimum=1, maximum=1), "workers": Concurrency(minimum=1, maximum=9)}
    types = Registry(agent.model_copy(update=bounds) for agent in BUILTIN)
    settings = load_settings(scaling={"memory_mb": 640, "slot_memory_mb": 64, "cores": 100}, delivery={"lease_s": 600})
    app = Hive("fleet", broker=own_redis.url, settings=settings, agent_types=types)
    app.process.clock = clock = ManualClock()
    broken, sound = types["bug_hunter"], types[TYPE]
    scaler = FleetScaler(app, [broken, sound], Recorder())
    store: Store = app.access.store
    store.register("w", [sound.queue], ConsumerInfo(node="w@host", pid=1, version="0", started_ms=0))
    with app.batch():
        for queue in (broken.queue, sound.queue) * 500:
            app.send_task("t", queue=queue)

    def sizes(for_s: int) -> dict[str, int]:
        decided = []
        for _ in range(for_s):
            clock.advance(1)
            decided = scaler.run_once() or []
        return {one.agent_type: one.workers for one in decided}

    assert sizes(15) == {broken.name: 5, sound.name: 5}
    assert sizes(130) == {broken.name: 1, sound.name: 9}
    store.register("b", [broken.queue], ConsumerInfo(node="b@host", pid=1, version="0", started_ms=0))
    assert sizes(20) == {broken.name: 5, sound.name: 5}


@pytest.mark.parametrize("left_in", ["flight", "lane"])
def test_what_the_last_worker_of_a_type_left_behind_has_another_one_started(
    made: Callable[..., tuple[Hive, FleetScaler, Recorder]], left_in: str
) -> None:
    # Nobody else looks after its queue: until there is a worker, what the dead one held stays where it is.
    short = {"lease_s": 0.9, "renew_every_s": 0.3, "reap_every_s": 0.1}
    app, scaler, acted = made(0, delivery=short, broker={"socket_timeout_s": 1.0, "connect_timeout_s": 1.0})
    store: Store = app.access.store
    queue, clock = f"agent.{TYPE}", app.process.clock
    store.register("dead", [queue], ConsumerInfo(node="dead@host", pid=1, version="0", started_ms=0))
    if left_in == "lane":
        store.report_load(queue, "dead@host", "dead", b"{}")
        store.publish(Outgoing(queue=queue, payload=b"{}", message_id="m", lane="dead@host"))
    else:
        _publish(app, 1)
        assert len(store.claim("dead", [queue], sequence=1, credit=10).deliveries) == 1
    eventually(lambda: not store.demand([queue])[0].consumers, what="its lease is over")
    for _ in range(60):
        scaler.run_once()
        clock.advance(1)
    assert acted.orders == [{TYPE: 1}]


@pytest.mark.parametrize(
    "template", ["scale {agent_type}", "scale {agent_type} {workers} {home}", "a {agent_type} {workers"]
)
def test_a_command_that_cannot_work_is_refused_at_once(template: str) -> None:
    with pytest.raises(SettingsError, match=r"must name both|cannot be read"):
        Command(template)
