"""Encryption at rest: AES-GCM under keys that have names, so that they can be changed."""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hive.errors import CheckpointKeyError, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by id; the first encrypts, all of them decrypt.

    Attributes:
        keys: 32 bytes each, in order.
    """

    keys: Mapping[str, bytes]

    @classmethod
    def parsed(cls, text: str) -> "Keyring":
        """Return the keys of a setting: ``ID:BASE64`` of 32 bytes each, divided by commas.

        Raises:
            SettingsError: it is something else, or the extra ``encryption`` is not installed.
        """
        keys: dict[str, bytes] = {}
        for place, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
            id_, _, encoded = entry.partition(":")
            try:
                key = base64.b64decode(encoded, altchars=b"-_" if set("-_") & set(encoded) else None, validate=True)
            except (binascii.Error, ValueError) as error:
                raise SettingsError(f"checkpoints.keys: key number {place} is not base64") from error
            if len(key) != 32 or not _ID.fullmatch(id_) or id_ in keys:
                raise SettingsError(
                    f"checkpoints.keys: key number {place} must be ID:BASE64 of 32 bytes, each id once: "
                    "`python -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'` makes one"
                )
            keys[id_] = key
        if not keys:
            raise SettingsError("checkpoints.keys has no key in it")
        _cipher(next(iter(keys.values())))
        return cls(keys)

    @property
    def first(self) -> str:
        """Id of the key that encrypts."""
        return next(iter(self.keys))

    def encrypted(self, body: bytes, bound_to: bytes) -> bytes:
        """Return a body encrypted with the first key; it can only be decrypted beside what it is bound to."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = _cipher(self.keys[self.first]).encrypt(nonce, body, bound_to)
        return nonce + sealed

    def decrypted(self, agent: str, key_id: str, body: bytes, bound_to: bytes) -> bytes:
        """Return a body that a key has encrypted.

        Raises:
            CheckpointKeyError: that key is not here, or is another one under the same id.
        """
        if key_id not in self.keys:
            raise CheckpointKeyError(
                agent,
                f"it is encrypted with key {key_id!r}, which is not in checkpoints.keys; known are {list(self.keys)}",
            )
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an optional dependency

        try:
            opened: bytes = _cipher(self.keys[key_id]).decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], bound_to)
        except InvalidTag as error:
            raise CheckpointKeyError(
                agent, f"key {key_id!r} does not decrypt it: it is another key now, or the checkpoint was tampered with"
            ) from error
        return opened


def _cipher(key: bytes) -> "AESGCM":
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise SettingsError(
            "checkpoints.keys needs the extra 'encryption': pip install 'agent-hive[encryption]'"
        ) from error
    return AESGCM(key)
