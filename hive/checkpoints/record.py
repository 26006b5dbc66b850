"""What is stored of a checkpoint: a sealed header that names the digest of the body, and the body.

::

    header   b"HCP1" | JSON, keys sorted | SHA-256 of both
    body     the state: JSON or bytes, then zstd unless that gains nothing, then AES-GCM if there is a key
    record   length of the header in 4 bytes | header | body: what the broker keeps

The header says again whose and which it is, so that a checkpoint that turns up under another name is damage, too. An
encrypted body is bound to all of the header but its digest.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from hive.checkpoints.checkpoint import CheckpointInfo, Kind
from hive.checkpoints.encryption import Keyring
from hive.errors import CheckpointKeyError, InputError

_MAGIC = b"HCP1"
_DIGEST_BYTES = 32
_LENGTH_BYTES = 4


class DamagedError(Exception):
    """What was read is not what was written; the message says how that shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """All that is known of a checkpoint but its state.

    Attributes:
        info: what users see of it.
        content: ``json`` or ``bytes``.
        codec: ``zstd`` or ``none``.
    """

    info: CheckpointInfo
    content: str
    codec: str

    def sealed(self) -> bytes:
        """Return the bytes that are stored."""
        text = _MAGIC + _json(self._fields())
        return text + hashlib.sha256(text).digest()

    def unbound(self) -> bytes:
        """Return what an encrypted body is bound to."""
        return _json({key: value for key, value in self._fields().items() if key not in {"sha256", "stored_bytes"}})

    def _fields(self) -> dict[str, Any]:
        return {**asdict(self.info), "content": self.content, "codec": self.codec}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A state, compressed, before it is known which generation it becomes.

    Attributes:
        content: ``json`` or ``bytes``.
        codec: ``zstd`` or ``none``.
        size_bytes: of the state.
        body: compressed.
    """

    content: str
    codec: str
    size_bytes: int
    body: bytes


def packed(state: Any, zstd_level: int) -> Packed:
    """Return a state compressed.

    Args:
        state: bytes, a value that JSON can hold, or a pydantic model.
        zstd_level: of the compression.

    Raises:
        InputError: it is nothing of these.
    """
    content, raw = (
        ("bytes", bytes(state)) if isinstance(state, bytes | bytearray | memoryview) else ("json", _text(state))
    )
    import zstandard  # noqa: PLC0415 - megabytes that a process without agents' state does not need

    body = zstandard.ZstdCompressor(level=zstd_level).compress(raw)
    if len(body) >= len(raw):
        return Packed(content=content, codec="none", size_bytes=len(raw), body=raw)
    return Packed(content=content, codec="zstd", size_bytes=len(raw), body=body)


def built(packed_state: Packed, info: CheckpointInfo, keyring: Keyring | None) -> tuple[Header, bytes]:
    """Return header and body to store; of ``info``, size, key and digest are filled in."""
    info = replace(info, size_bytes=packed_state.size_bytes, key_id=keyring.first if keyring else None)
    header = Header(info=info, content=packed_state.content, codec=packed_state.codec)
    body = keyring.encrypted(packed_state.body, header.unbound()) if keyring else packed_state.body
    info = replace(info, stored_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
    return replace(header, info=info), body


def header_of(sealed: bytes, agent: str, generation: int | None = None) -> Header:
    """Return a header that was stored for an agent, under a generation if one is given.

    Raises:
        DamagedError: it is not what was written, or another agent's.
    """
    text, digest = sealed[:-_DIGEST_BYTES], sealed[-_DIGEST_BYTES:]
    if not text.startswith(_MAGIC) or hashlib.sha256(text).digest() != digest:
        raise DamagedError("its header does not have the digest it was written with")
    fields = json.loads(text[len(_MAGIC) :])
    content, codec, kind = fields.pop("content"), fields.pop("codec"), Kind(fields.pop("kind"))
    header = Header(info=CheckpointInfo(kind=kind, **fields), content=content, codec=codec)
    if header.info.agent != agent:
        raise DamagedError(f"it stands in the place of another: it is of agent {header.info.agent!r}")
    if generation not in {None, header.info.generation}:
        raise DamagedError(f"it stands in the place of another: it is generation {header.info.generation}")
    return header


def check_body(header: Header, body: bytes) -> None:
    """Raise ``DamagedError`` unless a body is the one that was written with a header."""
    if hashlib.sha256(body).hexdigest() != header.info.sha256:
        raise DamagedError("its state does not have the digest it was written with")


def unpacked(header: Header, body: bytes, keyring: Keyring | None) -> Packed:
    """Return a checked body, decrypted.

    Raises:
        CheckpointKeyError: it is encrypted, and the key is not at hand.
    """
    info = header.info
    if info.key_id is not None:
        if keyring is None:
            raise CheckpointKeyError(
                info.agent,
                f"it is encrypted with key {info.key_id!r}: set HIVE_CHECKPOINTS_KEYS to ID:BASE64 of that key",
            )
        body = keyring.decrypted(info.agent, info.key_id, body, header.unbound())
    return Packed(content=header.content, codec=header.codec, size_bytes=info.size_bytes, body=body)


def state_of(found: Packed) -> Any:
    """Return the state as it was written: bytes, or the value that JSON makes of it."""
    raw = found.body
    if found.codec == "zstd":
        import zstandard  # noqa: PLC0415 - as above

        raw = zstandard.ZstdDecompressor().decompress(raw, max_output_size=found.size_bytes)
    return raw if found.content == "bytes" else from_json(raw)


def joined(header: bytes, body: bytes) -> bytes:
    """Return header and body as one record, for the broker."""
    return len(header).to_bytes(_LENGTH_BYTES) + header + body


def divided(record: bytes) -> tuple[bytes, bytes]:
    """Return header and body of a record; of a damaged one, something that does not pass for them."""
    end = _LENGTH_BYTES + int.from_bytes(record[:_LENGTH_BYTES])
    return record[_LENGTH_BYTES:end], record[end:]


def _text(state: Any) -> bytes:
    try:
        return json.dumps(state, ensure_ascii=False, separators=(",", ":"), default=_of_model).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"a state must be bytes, a JSON value or a pydantic model: {error}") from error


def _of_model(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"JSON has nothing for a {type(value).__name__}")


def _json(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
