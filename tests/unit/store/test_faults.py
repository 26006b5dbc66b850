"""Whose fault an error of redis-py is, and which servers are refused."""

import pytest
from redis import exceptions

from hive.errors import BrokerRefusedError
from hive.store.faults import BrokerFullError, BrokerGoneError, translated
from hive.store.server import fit_server


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.ConnectionError("reset"), BrokerGoneError),
        (exceptions.TimeoutError("slow"), BrokerGoneError),
        (OSError("unreachable"), BrokerGoneError),
        (exceptions.BusyLoadingError("LOADING"), BrokerGoneError),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), BrokerGoneError),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), BrokerGoneError),
        (exceptions.ResponseError("BUSY A script is running"), BrokerGoneError),
        (exceptions.OutOfMemoryError("command not allowed"), BrokerFullError),
        (exceptions.ResponseError("OOM command not allowed when used memory > 'maxmemory'"), BrokerFullError),
        # These do not go away by reconnecting: they are said as they are.
        (exceptions.AuthenticationError("wrong password"), exceptions.AuthenticationError),
        (exceptions.ResponseError("WRONGTYPE BUSY OOM"), exceptions.ResponseError),
        (exceptions.NoScriptError("no such script"), exceptions.NoScriptError),
    ],
)
def test_what_passes_is_a_lost_connection_and_the_rest_stays_itself(error: Exception, expected: type) -> None:
    with pytest.raises(expected) as raised, translated("claim"):
        raise error
    assert type(raised.value) is expected
    if expected in {BrokerGoneError, BrokerFullError}:
        assert str(raised.value).startswith("claim: ")
        assert raised.value.__cause__ is error


def test_errors_are_translated_once() -> None:
    inner = BrokerGoneError("claim: reset")
    with pytest.raises(BrokerGoneError) as raised, translated("outer"):
        raise inner
    assert raised.value is inner


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ({"redis_version": "7.0.0"}, "redis"),
        ({"redis_version": "8.2.1"}, "redis"),
        # Valkey gives the version of Redis it is compatible with beside its own.
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, "valkey"),
    ],
)
def test_servers_that_know_our_commands_are_served(info: dict[str, str], name: str) -> None:
    assert fit_server({**info, "run_id": "r"}, None).name == name


@pytest.mark.parametrize("info", [{"redis_version": "6.2.14"}, {"redis_version": "7.2.4", "valkey_version": "7.2.5"}])
def test_older_servers_are_refused_by_name(info: dict[str, str]) -> None:
    with pytest.raises(BrokerRefusedError, match="or newer"):
        fit_server({**info, "run_id": "r"}, "noeviction")
