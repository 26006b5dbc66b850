"""Rounds of the scheduler over agents on a real broker: what each mode does, and how a rollback takes it back."""

from collections.abc import Callable

import pytest

from hive import Hive
from hive.agents.lifecycle import AgentState
from hive.agents.sleep_policy import SleepPolicy
from hive.consolidation.safety import Pressure
from hive.consolidation.stages import Mode
from hive.database.checkpoints import DatabaseError
from hive.database.contexts import Context, ContextKind
from hive.learning.idleness import DAY, INTERVAL_S
from hive.memory.opening import open_memories
from hive.runtime.rest.acts import OURS
from hive.runtime.rest.notes import PAST
from hive.runtime.rest.past import Past
from hive.runtime.rest.scheduler import HOLD_S, RestScheduler
from hive.runtime.rest.switches import FLAG
from hive.runtime.rest.tasks import consolidated
from hive.settings.load import load_settings
from hive.store.leadership import Leadership
from tests.support.redis_server import RedisServer

QUIET, BUSY = [f"quiet-{place}" for place in range(8)], ["busy-0", "busy-1"]


@pytest.fixture
def app(own_redis: RedisServer, tmp_path) -> Hive:
    app = Hive("rest", broker=own_redis.url, settings=load_settings(home=tmp_path, scheduler={"quiet_s": 0.001}))
    store = app.access.store
    for name in (*QUIET, *BUSY):
        store.agent_policy(name, SleepPolicy())
    _remember(app, {name: [0.0] * DAY for name in QUIET} | {name: [6.0] * DAY for name in BUSY})
    return app


@pytest.fixture
def asked() -> list[tuple[str, bool]]:
    return []


@pytest.fixture
def scheduler(app: Hive, asked: list[tuple[str, bool]]) -> RestScheduler:
    return RestScheduler(
        app,
        consolidate=lambda agent, dry: asked.append((agent, dry)),
        loose_tokens=lambda _: 9_000,
        pressure=Pressure,
    )


def _remember(app: Hive, counts: dict[str, list[float]]) -> None:
    """Write the pasts of agents down as earlier rounds would have."""
    leadership = Leadership(app.access.store, FLAG, holder="earlier", hold_s=HOLD_S)
    term = leadership.campaign()
    assert term is not None
    interval = int(term.now_ms / 1000 / INTERVAL_S)
    pasts = {
        f"{PAST}{name}": Past(interval=interval, messages_count=0, counts=tuple(series)).written()
        for name, series in counts.items()
    }
    assert leadership.note(term, pasts)
    leadership.resign()


def _states(app: Hive) -> dict[str, AgentState]:
    return {record.name: record.state for record in app.agents}


def _asleep(app: Hive) -> set[str]:
    return {name for name, state in _states(app).items() if state is AgentState.SLEEPING}


def test_shadow_decides_and_does_nothing(app: Hive, scheduler: RestScheduler, asked: list) -> None:
    report = scheduler.round()
    assert report.mode is Mode.SHADOW
    assert {verdict.decision.agent for verdict in report.verdicts} == set(QUIET)
    assert sum(verdict.is_permitted for verdict in report.verdicts) == 2  # a fifth of ten in five minutes
    assert set(_states(app).values()) == {AgentState.AWAKE}
    assert not asked
    assert len(scheduler.told()["decisions"]) == len(QUIET)


def test_live_puts_whom_the_flag_reaches_to_sleep_and_a_rollback_wakes_them(
    app: Hive, scheduler: RestScheduler, asked: list
) -> None:
    switches, now_ms = scheduler.switches, app.access.store.server_time_ms()
    switches.go(Mode.LIVE)
    assert scheduler.round().done == {}, "a flag at 0 % reaches nobody"
    for _ in range(5):
        switches.advance(now_ms, anyway=True)
    first = scheduler.round()
    assert len(_asleep(app)) == 2
    assert _asleep(app) == set(first.done or ())
    assert all(app.agents[name].record.reason.startswith(OURS) for name in _asleep(app))
    assert app.agents[min(_asleep(app))].load() == {}, "it slept with a checkpoint"
    second = scheduler.round()
    assert {agent for agent, dry in asked if not dry} == _asleep(app), "who sleeps with much to compact is consolidated"
    assert set(second.done or ()) == _asleep(app)
    switches.roll_back(now_ms)
    third = scheduler.round()
    assert set(third.done or ()) == set(first.done or ())
    assert not _asleep(app)


def test_whom_an_operator_put_to_sleep_stays_asleep(app: Hive, scheduler: RestScheduler) -> None:
    app.agents["busy-0"].sleep()
    scheduler.switches.go(Mode.LIVE)
    for _ in range(5):
        scheduler.switches.advance(0, anyway=True)
    scheduler.round()
    assert _states(app)["busy-0"] is AgentState.SLEEPING
    scheduler.switches.roll_back(0)
    scheduler.round()
    assert _states(app)["busy-0"] is AgentState.SLEEPING


def test_the_emergency_stop_holds_within_a_round(app: Hive, scheduler: RestScheduler, asked: list) -> None:
    app.agents["quiet-0"].sleep()
    scheduler.switches.go(Mode.LIVE)
    for _ in range(5):
        scheduler.switches.advance(0, anyway=True)
    sleeper = app.agents.sleeper
    move: Callable[..., object] = sleeper.sleep

    def stop_after(*arguments: object, **options: object) -> None:
        move(*arguments, **options)
        scheduler.switches.stop()

    sleeper.sleep = stop_after
    scheduler.round()
    assert len(_asleep(app)) == 2, "one by an operator, one before the stop, none after it"
    assert not scheduler.round().done
    assert not asked


def test_validation_consolidates_dry_and_puts_nobody_to_sleep(app: Hive, scheduler: RestScheduler, asked: list) -> None:
    app.agents["quiet-0"].sleep()
    scheduler.switches.go(Mode.VALIDATION)
    scheduler.round()
    assert asked == [("quiet-0", True)]
    assert _asleep(app) == {"quiet-0"}


def test_two_rounds_at_once_are_one(app: Hive, scheduler: RestScheduler) -> None:
    other = Leadership(app.access.store, FLAG, holder="other", hold_s=HOLD_S)
    assert other.campaign() is not None
    assert not scheduler.round().is_leading
    other.resign()
    assert scheduler.round().is_leading


def test_failed_sleeps_are_counted_and_roll_the_flag_back(app: Hive, scheduler: RestScheduler) -> None:
    scheduler.switches.go(Mode.LIVE)
    for _ in range(5):
        scheduler.switches.advance(0, anyway=True)
    app.agents.on_sleep(lambda agent, state: object())
    for _ in range(19):
        scheduler.switches.note(0, failed=False)
    scheduler.switches.note(0, failed=True)
    report = scheduler.round()
    assert report.done
    assert all(what != "sleep" for what in report.done.values()), "the state cannot be written"
    rollout = scheduler.switches.position().rollout
    assert (rollout.stage, rollout.reason) == (0, "rolled back by itself: 3 of 22 moves failed at 100 %")
    assert not _asleep(app)


@pytest.mark.parametrize(("compact_after_s", "consolidates"), [(3_600.0, False), (0.0, True)])
def test_what_is_too_fresh_to_compact_asks_for_no_consolidation(
    app: Hive, tmp_path, *, compact_after_s: float, consolidates: bool
) -> None:
    settings = load_settings(home=tmp_path, memory={"compact_after_s": compact_after_s})
    own = Hive("rest", broker=app.conf.broker_url, settings=settings)
    own.memory("quiet-0").append("one two three " * 5_000)
    own.agent("quiet-0").sleep()
    verdicts = {verdict.decision.agent: verdict.decision.action for verdict in own.rest.round().verdicts}
    assert ("quiet-0" in verdicts) is consolidates
    own.close()


def test_rounds_open_one_database_of_memories(app: Hive, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(
        "hive.runtime.consolidating.open_memories", lambda *place: opened.append(place) or open_memories(*place)
    )
    app.rest.round()
    app.rest.round()
    assert app.memory("quiet-0").size().count == 0
    assert len(opened) == 1, "each registers what is to be done before a fork, for good"


def test_a_round_forgets_what_it_knew_of_forgotten_agents(app: Hive, scheduler: RestScheduler) -> None:
    app.agent("quiet-0").forget()
    scheduler.round()
    notes = Leadership(app.access.store, FLAG, holder="reader", hold_s=HOLD_S).notes()
    assert {name for name in notes if name.startswith(PAST)} == {f"{PAST}{name}" for name in (*QUIET[1:], *BUSY)}


def test_a_round_acts_no_more_once_another_leads(app: Hive, scheduler: RestScheduler) -> None:
    store = app.access.store
    other = Leadership(store, FLAG, holder="other", hold_s=HOLD_S)
    scheduler.switches.go(Mode.LIVE)
    for _ in range(5):
        scheduler.switches.advance(0, anyway=True)
    move: Callable[..., object] = app.agents.sleeper.sleep

    def outlast_the_hold(*arguments: object, **options: object) -> None:
        move(*arguments, **options)
        store.client.hset(other.key, "until_ms", 1)
        assert other.campaign() is not None

    app.agents.sleeper.sleep = outlast_the_hold
    scheduler.round()
    assert len(_asleep(app)) == 1, "two were permitted"


def test_the_emergency_stop_holds_while_agents_are_woken_after_a_rollback(app: Hive, scheduler: RestScheduler) -> None:
    for name in QUIET[:2]:
        app.agents[name].sleep(f"{OURS}idle")
    move: Callable[..., object] = app.agents.sleeper.wake

    def stop_after(*arguments: object) -> None:
        move(*arguments)
        scheduler.switches.stop()

    app.agents.sleeper.wake = stop_after
    scheduler.round()
    assert len(_asleep(app)) == 1


def test_a_round_goes_on_though_memories_cannot_be_read(app: Hive) -> None:
    app.agents["quiet-0"].sleep(f"{OURS}idle")

    def away(agent: str) -> int:
        raise DatabaseError("away")

    report = RestScheduler(app, loose_tokens=away, pressure=Pressure).round()
    assert dict(report.done or {}) == {"quiet-0": "wake"}, "whom it may act on no longer is woken"


def test_a_rollback_ends_a_consolidation_that_goes_on(app: Hive, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(home=tmp_path, memory={"compact_after_s": 0.0})
    own = Hive("rest", broker=app.conf.broker_url, settings=settings)
    own.memory("quiet-0").append_all([Context(kind=ContextKind.MESSAGE, text=f"note {n}") for n in range(900)])
    own.agent("quiet-0").sleep()
    switches = own.rest.switches
    switches.go(Mode.LIVE)
    for _ in range(5):
        switches.advance(0, anyway=True)
    replace: Callable[..., list[int]] = own.memories.replace

    def roll_back_after(*arguments: object, **options: object) -> list[int]:
        written = replace(*arguments, **options)
        switches.roll_back(0)
        return written

    monkeypatch.setattr(own.memories, "replace", roll_back_after)
    consolidated(own, "quiet-0", dry_run=False)
    assert own.memory("quiet-0").size().fresh_count == 500, "one slice was compacted"
    assert own.agent("quiet-0").state is AgentState.SLEEPING
    own.close()
