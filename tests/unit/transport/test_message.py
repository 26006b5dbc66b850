"""A message is what kombu makes of the same envelope, and its body what kombu decodes, or refuses."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.transport.virtual import base
from kombu.utils.json import dumps

from hive.transport.message import HiveMessage


class Channel:
    """The part of a channel that messages are made with."""

    codecs = base.Channel.codecs
    decode_body = base.Channel.decode_body


BODIES = [
    b'[[1, 2.5, -0.0, 1e400, NaN, 123456789012345678901234567890], {"k": null}, {}]',
    dumps([[b"bytes", "\u00e4\u4e2d\ud83d"], {"at": datetime(2026, 1, 2, tzinfo=UTC)}, {}]).encode(),
    # A mark for a type that is written with an escape is one all the same.
    b'[[{"\\u005f_type__": "bytes", "__value__": "x"}], {}, {}]',
    '["\u4e2d\u6587"]'.encode(),
    b"[[1], {}, {}",
    b"[" * 100_000,
    b"\xff\xfe",
    b"",
]


def envelope(body: bytes) -> dict[str, Any]:
    properties = {"delivery_tag": "t", "body_encoding": "base64", "delivery_info": {"exchange": "", "routing_key": "q"}}
    return {
        "body": base64.b64encode(body).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"id": "1", "task": "t"},
        "properties": properties,
    }


def outcome(kind: Any, found: dict[str, Any], accept: set[str]) -> str:
    message = kind(json.loads(json.dumps(found)), channel=Channel())
    message.accept = accept
    try:
        payload = message.payload
    except (DecodeError, ContentDisallowed) as error:
        payload = type(error)
    known = (message.headers, message.properties, message.delivery_info, message.delivery_tag, message.errors)
    return repr((payload, message.body, message.content_type, message.content_encoding, *known))


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("accept", [{"application/json"}, {"application/x-yaml"}])
def test_a_body_is_decoded_as_kombu_decodes_it(body: bytes, accept: set[str]) -> None:
    found = envelope(body)
    assert outcome(HiveMessage, found, accept) == outcome(base.Message, found, accept)


@pytest.mark.parametrize(
    "fields",
    [{"headers": None}, {"body": None}, {"body": "plain", "properties": {"delivery_tag": "t"}}, {"content-type": None}],
    ids=["no headers", "no body", "plain body", "no type"],
)
def test_an_unusual_envelope_is_read_as_kombu_reads_it(fields: dict[str, Any]) -> None:
    found = {**envelope(b"[]"), **fields}
    assert outcome(HiveMessage, found, {"application/json"}) == outcome(base.Message, found, {"application/json"})


def test_messages_that_wait_share_the_words_of_their_headers() -> None:
    first, second = (HiveMessage(json.loads(json.dumps(envelope(b"[]"))), channel=Channel()) for _ in range(2))
    assert all(one is other for one, other in zip(first.headers, second.headers, strict=True))
    assert all(one is other for one, other in zip(first.properties, second.properties, strict=True))
