"""Every failure gets one of nine causes, by type and never by the words in it."""

import errno
import json
import socket
import ssl
import urllib.error
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from typing import Any

import kombu.exceptions
import pydantic
import pytest
import redis
from billiard.exceptions import SoftTimeLimitExceeded

from hive.errors import BreakerOpenError, InputError
from hive.resilience.causes import Cause, classify, status_of
from hive.resilience.retry_after import LONGEST_S, retry_after_s
from hive.store.faults import BrokerGoneError

NOW_MS = 1_700_000_000_000


def foreign(module: str, name: str, *bases: type[Exception], **attributes: Any) -> Exception:
    """Return an error as a library would raise it that is not installed here."""
    error: Exception = type(name, bases or (Exception,), {"__module__": module})("words")
    for key, value in attributes.items():
        setattr(error, key, value)
    return error


class Response:
    """What libraries attach to their errors."""

    def __init__(self, status_code: int = 0, **headers: str) -> None:
        self.status_code = status_code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def model_error() -> pydantic.ValidationError:
    class Model(pydantic.BaseModel):
        count: int

    with pytest.raises(pydantic.ValidationError) as refused:
        Model(count="many")
    return refused.value


KNOWN: list[tuple[BaseException, Cause]] = [
    (ConnectionRefusedError(), Cause.NETWORK),
    (socket.gaierror(), Cause.NETWORK),
    (OSError(errno.EHOSTUNREACH, "no way"), Cause.NETWORK),
    (ssl.SSLError(), Cause.NETWORK),
    (urllib.error.URLError("x"), Cause.NETWORK),
    (TimeoutError(), Cause.TIMEOUT),
    (SoftTimeLimitExceeded(), Cause.TIMEOUT),
    (MemoryError(), Cause.RESOURCE),
    (OSError(errno.ENOSPC, "full"), Cause.RESOURCE),
    (ValueError("timeout connecting, rate limit"), Cause.VALIDATION),
    (FileNotFoundError(), Cause.VALIDATION),
    (model_error(), Cause.VALIDATION),
    (json.JSONDecodeError("x", "", 0), Cause.DEPENDENCY),
    (PermissionError(), Cause.AUTHORISATION),
    (ssl.SSLCertVerificationError(), Cause.AUTHORISATION),
    (kombu.exceptions.DecodeError(), Cause.POISON),
    (KeyError("x"), Cause.BUG),
    (Exception("connection refused"), Cause.BUG),
    (redis.ConnectionError(), Cause.NETWORK),
    (redis.TimeoutError(), Cause.TIMEOUT),
    (redis.AuthenticationError(), Cause.AUTHORISATION),
    (redis.exceptions.OutOfMemoryError(), Cause.RESOURCE),
    (BrokerGoneError("x"), Cause.NETWORK),
    (InputError("x"), Cause.VALIDATION),
    (BreakerOpenError("openai", "open", 3.0), Cause.DEPENDENCY),
    (urllib.error.HTTPError("u", 401, "no", Message(), None), Cause.AUTHORISATION),
    (
        foreign("httpx", "ConnectTimeout", type("TimeoutException", (Exception,), {"__module__": "httpx"})),
        Cause.TIMEOUT,
    ),
    (foreign("requests.exceptions", "Timeout", OSError), Cause.TIMEOUT),
    (foreign("openai", "RateLimitError", status_code=429), Cause.RATE_LIMIT),
    (foreign("openai", "InternalServerError", status_code=500), Cause.DEPENDENCY),
    (foreign("openai", "APIConnectionError"), Cause.NETWORK),
    (foreign("aiohttp.client_exceptions", "ClientResponseError", status=504), Cause.TIMEOUT),
    (foreign("requests.exceptions", "HTTPError", OSError, response=Response(422)), Cause.VALIDATION),
    (foreign("shop.client", "ShopError", status_code=503), Cause.DEPENDENCY),
    (foreign("shop.client", "ShopError", status_code=17), Cause.BUG),
]


@pytest.mark.parametrize(("error", "cause"), KNOWN, ids=lambda value: getattr(value, "value", type(value).__name__))
def test_known_errors_have_their_cause(error: BaseException, cause: Cause) -> None:
    assert classify(error) is cause


def test_the_nearest_class_decides_and_the_users_wins_for_the_very_class() -> None:
    class OrderError(ValueError):
        pass

    class StockError(OrderError):
        pass

    assert classify(StockError()) is Cause.VALIDATION
    assert classify(StockError(), {OrderError: "dependency"}) is Cause.DEPENDENCY
    assert classify(StockError(), {StockError: Cause.BUG, OrderError: "dependency"}) is Cause.BUG
    assert classify(ValueError(), {ValueError: "network"}) is Cause.NETWORK
    assert classify(ValueError(), {Exception: "network"}) is Cause.VALIDATION
    assert classify(ConnectionResetError(), {ConnectionError: "dependency"}) is Cause.DEPENDENCY
    throttled = foreign("shop.client", "ShopError", status_code=503)
    assert classify(throttled, {"shop.client.ShopError": "validation"}) is Cause.VALIDATION
    assert classify(throttled, {Exception: "validation"}) is Cause.DEPENDENCY
    assert classify(KeyError(), {"builtins.Exception": "network"}) is Cause.NETWORK
    with pytest.raises(ValueError, match="weather"):
        classify(KeyError(), {KeyError: "weather"})


def test_an_unknown_error_has_the_cause_of_the_one_it_was_raised_from() -> None:
    tool = RuntimeError("tool")
    tool.__cause__ = ConnectionResetError()
    assert classify(tool) is Cause.NETWORK
    tool.__cause__ = tool
    assert classify(tool) is Cause.BUG


def test_a_group_is_retried_only_if_none_of_its_errors_forbids_it() -> None:
    assert classify(ExceptionGroup("g", [TimeoutError(), KeyError()])) is Cause.TIMEOUT
    assert classify(ExceptionGroup("g", [TimeoutError(), ValueError()])) is Cause.VALIDATION


def test_status_is_no_exit_code_and_no_boolean() -> None:
    assert status_of(foreign("m", "E", code=404)) == 404
    assert status_of(SystemExit(3)) is None
    assert status_of(foreign("m", "E", status=True)) is None


DATE = format_datetime(datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(seconds=90), usegmt=True)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (foreign("m", "E", retry_after=2), 2.0),
        (foreign("m", "E", retry_after=timedelta(minutes=1)), 60.0),
        (BreakerOpenError("openai", "open", 3.5), 3.5),
        (foreign("m", "E", response=Response(retry_after="7")), 7.0),
        (foreign("m", "E", response=Response(Retry_After="1.5")), 1.5),
        (foreign("m", "E", response=Response(retry_after_ms="250", retry_after="9")), 0.25),
        (foreign("m", "E", response=Response(retry_after=DATE)), 90.0),
        (foreign("m", "E", headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), 0.0),
        (foreign("m", "E", retry_after=-3), 0.0),
        (foreign("m", "E", retry_after=1e12), LONGEST_S),
        (foreign("m", "E", retry_after="inf"), LONGEST_S),
        (foreign("m", "E", retry_after=float("nan")), None),
        (foreign("m", "E", response=Response(retry_after="soon")), None),
        (foreign("m", "E", retry_after=True, headers=["Retry-After"]), None),
        (KeyError(), None),
    ],
)
def test_what_the_other_side_asks_for_is_read_from_wherever_it_stands(error: Exception, seconds: float | None) -> None:
    found = retry_after_s(error, NOW_MS)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=0.5))
