"""What is stored of a checkpoint: every state comes back, every changed byte shows."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.checkpoints.checkpoint import CheckpointInfo, Kind
from hive.checkpoints.encryption import Keyring
from hive.checkpoints.head import Head, of_kept, of_stored
from hive.checkpoints.record import (
    DamagedError,
    built,
    check_body,
    divided,
    header_of,
    joined,
    packed,
    state_of,
    unpacked,
)
from hive.errors import CheckpointKeyError

KEYRING = Keyring.parsed(f"k:{base64.b64encode(bytes(range(32))).decode()}")
INFO = CheckpointInfo(
    agent="ä\n{}", generation=7, kind=Kind.ERROR, at_ms=5, fencing_token=3, label=None, schema_version=2,
    size_bytes=0, stored_bytes=0, key_id=None, sha256="",
)  # fmt: skip

texts = st.text(st.characters(exclude_categories=("Cs",)))
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))


@given(state=values | st.binary(), keyring=st.sampled_from([None, KEYRING]))
def test_what_is_written_comes_back_as_it_was(state: Any, keyring: Keyring | None) -> None:
    header, body = built(packed(state, 3), INFO, keyring)
    sealed, stored = divided(joined(header.sealed(), body))
    found = header_of(sealed, INFO.agent, 7)
    assert found == header
    check_body(found, stored)
    back = state_of(unpacked(found, stored, keyring))
    assert back == state
    assert type(back) is type(state)
    assert repr(back) == repr(state), "floats and integers keep their kind, signs and last digit"


@given(data=st.data(), keyring=st.sampled_from([None, KEYRING]))
def test_any_changed_byte_shows(data: st.DataObject, keyring: Keyring | None) -> None:
    header, body = built(packed({"text": "x" * 300, "n": list(range(50))}, 3), INFO, keyring)
    record = bytearray(joined(header.sealed(), body))
    place = data.draw(st.integers(0, len(record) - 1))
    record[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedError):
        check_record(bytes(record))


@given(length=st.integers(0, 40))
def test_a_record_that_is_cut_off_shows(length: int) -> None:
    header, body = built(packed(b"state", 3), INFO, None)
    with pytest.raises(DamagedError):
        check_record(joined(header.sealed(), body)[:length])


def check_record(record: bytes) -> None:
    sealed, body = divided(record)
    check_body(header_of(sealed, INFO.agent, 7), body)


def test_another_name_or_number_shows() -> None:
    header, _ = built(packed(b"state", 3), INFO, None)
    with pytest.raises(DamagedError, match="it is of agent"):
        header_of(header.sealed(), "other")
    with pytest.raises(DamagedError, match="it is generation 7"):
        header_of(header.sealed(), INFO.agent, 8)


def test_an_encrypted_body_belongs_to_its_header() -> None:
    header, body = built(packed(b"state", 3), INFO, KEYRING)
    other = CheckpointInfo(**{**{name: getattr(INFO, name) for name in INFO.__dataclass_fields__}, "generation": 8})
    newer, _ = built(packed(b"state", 3), other, KEYRING)
    assert state_of(unpacked(header, body, KEYRING)) == b"state"
    with pytest.raises(CheckpointKeyError, match="tampered"):
        unpacked(newer, body, KEYRING)


def test_compression_is_left_out_where_it_gains_nothing() -> None:
    assert packed(b"x" * 10_000, 3).codec == "zstd"
    assert packed(bytes(range(256)), 3).codec == "none"


@given(
    generation=st.integers(0, 2**62),
    token=st.integers(0, 2**62),
    forgotten=st.booleans(),
    field=st.integers(0, 3),
    change=st.integers(1, 2**20),
)
def test_a_changed_head_shows(generation: int, token: int, forgotten: bool, field: int, change: int) -> None:
    head = Head(agent="a", generation=generation, fencing_token=token, is_forgotten=forgotten)
    assert of_kept("a", head.kept()) == head
    assert of_stored("a", head.stored(1)) == head
    assert of_kept("b", head.kept()) is None
    fields = {name: getattr(head, name) for name in ("agent", "generation", "fencing_token", "is_forgotten")}
    name = list(fields)[field]
    fields[name] = (
        {"agent": "b", "is_forgotten": not forgotten}.get(name, getattr(head, name))
        if field in {0, 3}
        else (getattr(head, name) + change)
    )
    kept, stored = Head(**fields).kept(), Head(**fields).stored(1)
    assert of_kept("a", type(kept)(**{**_fields(kept), "seal": head.kept().seal})) is None
    assert of_stored("a", type(stored)(**{**_fields(stored), "seal": head.seal()})) in (
        None,
        *([head] if field == 0 else []),
    )


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}
