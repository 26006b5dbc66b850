"""Breakers of one process and of two, on a real broker."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from hive import BreakerOpenError, BreakerSettings, Hive, load_settings
from hive.errors import SettingsError
from hive.resilience.breaker import BreakerState
from tests.support.eventually import eventually
from tests.support.redis_server import RedisServer
from tests.support.workers import ROOT

RULES = BreakerSettings(window_s=10, min_calls=4, open_s=0.3, probes=1)
CALLS = 20_000


@pytest.fixture
def name() -> str:
    return f"dependency-{uuid.uuid4().hex}"


@pytest.fixture
def apps(redis_server: RedisServer) -> Iterator[list[Hive]]:
    """Two applications in this process, each with breakers of its own, as two processes have."""
    apps = [Hive(str(number), broker=redis_server.url, backend=redis_server.url) for number in range(2)]
    yield apps
    for app in apps:
        app.circuits.stop()
        app.close()


def fail(breaker: Any, error: Exception | None = None, times: int = RULES.min_calls) -> None:
    for _ in range(times):
        with pytest.raises(type(error or ConnectionError())), breaker:
            raise error or ConnectionError("down")


def test_all_processes_refuse_what_one_found_failing_and_pass_what_one_probe_found_well(
    apps: list[Hive], name: str
) -> None:
    rules = RULES.model_copy(update={"open_s": 2.0})
    one, other = (app.breaker(name, rules) for app in apps)
    with other:
        pass
    fail(one)
    eventually(lambda: other.status.state is BreakerState.OPEN, what="the other process learns of it")
    with pytest.raises(BreakerOpenError) as refused, other:
        raise AssertionError("the body of a refused block runs")
    assert refused.value.name == name
    assert 0 < refused.value.retry_after_s <= rules.open_s
    eventually(lambda: _probed(one), what="a probe was given and answered")
    assert one.status.state is BreakerState.CLOSED
    eventually(lambda: other.status.state is BreakerState.CLOSED)
    with other:
        pass


def _probed(breaker: Any) -> bool:
    try:
        with breaker:
            return True
    except BreakerOpenError:
        return False


def test_functions_and_coroutines_run_within_it_many_at_once(apps: list[Hive], name: str) -> None:
    breaker = apps[0].breaker(name, RULES.model_copy(update={"min_calls": 20, "open_s": 5.0}))

    @breaker
    def plain(fails: bool) -> str:
        if fails:
            raise TimeoutError
        return "plain"

    @breaker
    async def coroutine(fails: bool) -> str:
        await asyncio.sleep(0.01)
        return plain(fails)

    async def together() -> list[Any]:
        calls = [coroutine(fails=number % 2 == 0) for number in range(10)]
        return await asyncio.gather(*calls, return_exceptions=True)

    ended = asyncio.run(together())
    assert [str(value) for value in ended[1::2]] == ["plain"] * 5
    assert all(isinstance(value, TimeoutError) for value in ended[::2])
    record = eventually(lambda: _reported(apps[0], name, 20))
    # A failure within two breakers of the same name counts for both.
    assert (record.failed_total, record.answered_total) == (10, 10)
    eventually(lambda: isinstance(_failure(plain), BreakerOpenError), what="half of the calls and more failed")
    with pytest.raises(BreakerOpenError):
        asyncio.run(coroutine(fails=False))


def _failure(function: Any) -> Exception:
    with pytest.raises((TimeoutError, BreakerOpenError)) as raised:
        function(fails=True)
    return raised.value


def _reported(app: Hive, name: str, count: int) -> Any:
    record = app.access.store.breaker(name)
    return record if record and record.answered_total + record.failed_total >= count else None


def test_a_callers_own_mistakes_open_nothing_unless_the_user_says_so(apps: list[Hive], name: str) -> None:
    breaker = apps[0].breaker(name, RULES)
    for error in (ValueError("wrong input"), PermissionError("no key"), KeyError("bug")):
        fail(breaker, error)
    apps[0].circuits.run_once()
    assert breaker.status.state is BreakerState.CLOSED
    strict = apps[0].breaker(name, counts_as_failure=lambda error: isinstance(error, KeyError))
    fail(strict, ConnectionError("not counted here"))
    fail(strict, KeyError("counted here"))
    eventually(lambda: strict.status.state is BreakerState.OPEN)


def test_what_began_before_a_breaker_opened_says_nothing_about_the_time_after(apps: list[Hive], name: str) -> None:
    breaker, circuit = apps[0].breaker(name, RULES), apps[0].circuits.circuit(name)
    late = [circuit.allow() for _ in range(10)]
    apps[0].access.store.breaker_force(name, BreakerState.OPEN, for_s=0)
    eventually(lambda: circuit.report().state is BreakerState.OPEN)
    eventually(lambda: _probed(breaker))
    for permit in late:
        circuit.end(permit, breaker._judge(ConnectionError("late")))
    circuit.report()
    record = apps[0].access.store.breaker(name)
    assert (record.calls, record.view.state) == (0, BreakerState.CLOSED)


def test_while_the_broker_is_away_the_process_decides_alone_and_says_so_once(
    own_redis: RedisServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="hive.guards.circuit")
    app = Hive("alone", broker=own_redis.url, backend=own_redis.url)
    breaker = app.breaker(name, RULES)
    with breaker:
        pass
    assert breaker.status.source == "broker"
    own_redis.stop(kill=True)
    eventually(lambda: breaker.status.source == "local")
    assert app.circuits.local_count == 1
    fail(breaker)
    eventually(lambda: breaker.status.state is BreakerState.OPEN)
    eventually(lambda: _probed(breaker), what="its own probe")
    assert breaker.status.state is BreakerState.CLOSED
    own_redis.start()
    eventually(lambda: breaker.status.source == "broker")
    app.circuits.stop()
    said = [record.message for record in caplog.records]
    assert sum("decides alone" in message for message in said) == 1
    assert sum("is back" in message for message in said) == 1


def test_a_call_through_a_closed_breaker_costs_under_50_us_and_the_broker_nothing(
    apps: list[Hive], name: str, own_redis: RedisServer
) -> None:
    app = Hive("cost", broker=own_redis.url, backend=own_redis.url)
    breaker = app.breaker(name, RULES)
    with breaker:
        pass
    app.circuits.stop()
    before = own_redis.client().info("commandstats")["cmdstat_evalsha"]["calls"]
    began = time.process_time()
    for _ in range(CALLS):
        with breaker:
            pass
    cost_us = (time.process_time() - began) / CALLS * 1e6
    assert own_redis.client().info("commandstats")["cmdstat_evalsha"]["calls"] <= before + 1
    assert cost_us < 50
    app.circuits.run_once()
    assert app.access.store.breaker(name).answered_total == CALLS + 1


def test_a_forked_child_reports_for_itself(apps: list[Hive], name: str) -> None:
    breaker = apps[0].breaker(name, RULES)
    with breaker:
        pass
    child = os.fork()
    if not child:
        try:
            for _ in range(RULES.min_calls):
                fail(breaker, times=1)
            apps[0].circuits.stop()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    eventually(lambda: breaker.status.state is BreakerState.OPEN, what="the parent learns of the child's failures")


def test_rules_of_one_dependency_come_from_the_settings(redis_server: RedisServer, name: str) -> None:
    own = {name: {"open_s": 7.0}}
    app = Hive("rules", broker=redis_server.url, settings=load_settings(breakers=own))
    rules = app.circuits.circuit(name).rules
    assert (rules.open_s, rules.probes) == (7.0, BreakerSettings().probes)
    app.circuits.stop()
    with pytest.raises(SettingsError, match="open_s"):
        load_settings(breakers={name: {"open_s": -1}})
    with pytest.raises(SettingsError, match="opens"):
        load_settings(breakers={name: {"opens": 1}})


def test_an_operator_opens_and_closes_by_hand(apps: list[Hive], name: str, redis_server: RedisServer) -> None:
    breaker = apps[0].breaker(name, RULES)
    with breaker:
        pass
    apps[0].circuits.run_once()
    assert "did you mean" in guards("open", f"{name}x", server=redis_server, expect=2)
    assert json.loads(guards("open", name, "--json", server=redis_server))["state"] == "open"
    eventually(lambda: breaker.status.state is BreakerState.OPEN)
    # Opened for good: no probe is given, whatever the time.
    eventually(lambda: breaker.status.retry_after_s > 0)
    assert not _probed(breaker)
    listed = json.loads(guards("list", "--json", server=redis_server))["breakers"]
    assert [(one["state"], one["probed_in_s"]) for one in listed if one["name"] == name] == [("open", None)]
    guards("close", name, server=redis_server)
    eventually(lambda: _probed(breaker))


def guards(*arguments: str, server: RedisServer, expect: int = 0) -> str:
    command = [sys.executable, "-m", "hive", "guards", *arguments, "--app", "tests.support.guarded_app:app"]
    environment = {"DELIVERY_URL": server.url, "PATH": "", "HIVE_HOME": str(server.directory / "home")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stderr
    return done.stdout if expect == 0 else done.stderr
