"""What is read of a dead letter, and what makes a message poison: pure functions that no bytes can break."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hive.deadletter.letter import Letter, edited, fingerprint
from hive.deadletter.poison import body_problem, header_problem, is_deeper
from hive.store.values import DeadLetter
from hive.transport.envelope import UnreadableError, read
from tests.support.payloads import payloads

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def letter(payload: bytes) -> Letter:
    return Letter.of(
        DeadLetter(
            id="1", queue="q", priority=0, message_id=None, reason="r", cause="c", at_ms=1, history=(), payload=payload
        )
    )


def test_no_bytes_break_a_letter() -> None:
    for row in payloads():
        described = letter(row.raw).described()
        assert json.loads(json.dumps(described))["size_bytes"] == len(row.raw)
        assert edited(row.raw, [], {}) is None


@settings(deadline=None, max_examples=200)
@given(st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_on_a_queue_is_an_envelope_or_has_a_reason(raw: bytes) -> None:
    letter(raw).described()
    with suppress(UnreadableError):
        assert read(raw)["properties"]["delivery_tag"]


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(["task", "id", "retries", "timelimit"]), anything), anything)
def test_whatever_headers_and_body_hold_is_judged(headers: dict[str, Any], body: Any) -> None:
    problem = header_problem(headers)
    assert problem is not None or (isinstance(headers["task"], str) and isinstance(headers["id"], str))
    assert body_problem(body) is not None or isinstance(body, dict) or len(body) == 3


@pytest.mark.parametrize("depth", [1, 5, 200, 5_000])
def test_depth_is_measured_without_recursing(depth: int) -> None:
    value: Any = []
    for level in range(depth - 1):
        value = [value] if level % 2 else {"key": value, "other": 1}
    assert not is_deeper(value, depth)
    assert is_deeper(value, depth - 1)


def test_fingerprints_ignore_what_differs_between_failures_of_a_kind() -> None:
    def of(cause: str, task: str = "shop.buy") -> str:
        return fingerprint("undecodable", task, cause)

    assert of("not JSON at character 17") == of("not JSON at character 4,711")
    assert of("<Order at 0x7f1> 'tea'") == of("<Order at 0x9a2> 'coffee'")
    assert len({of("not JSON"), of("not UTF-8"), of("not JSON", "shop.sell")}) == 3
