"""Checkpoints as users see them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Why a checkpoint was written."""

    SCHEDULED = "scheduled"
    """Its time had come."""
    PRE_SLEEP = "pre-sleep"
    """Its agent goes to sleep."""
    ERROR = "error"
    """Something failed, and this is what there was."""
    MANUAL = "manual"
    """Somebody asked for it."""
    EMERGENCY = "emergency"
    """Its process is about to end."""


class Source(StrEnum):
    """Which side a checkpoint was read from."""

    CACHE = "cache"
    """The broker."""
    DATABASE = "database"
    """SQLite or PostgreSQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something that was found damaged or missing while reading.

    Attributes:
        agent: whose.
        source: on which side.
        generation: of which checkpoint; none: the head, which says what the newest one is.
        reason: what is wrong, as a sentence.
    """

    agent: str
    source: Source
    generation: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """What is known of a checkpoint beside its state.

    Attributes:
        agent: whose it is.
        generation: grows with every checkpoint of the agent; never used twice.
        kind: why it was written.
        at_ms: when, in milliseconds since 1970 by the writer's clock.
        fencing_token: of the delivery that wrote it; none: it was written outside of any.
        label: the writer's name for it, if it gave one.
        schema_version: of the state as it was written.
        size_bytes: of the state.
        stored_bytes: of what is stored: compressed, and encrypted if there is a key.
        key_id: of the key that encrypts it; none: it is not encrypted.
        sha256: of what is stored, in hexadecimal digits.
    """

    agent: str
    generation: int
    kind: Kind
    at_ms: int
    fencing_token: int | None
    label: str | None
    schema_version: int
    size_bytes: int
    stored_bytes: int
    key_id: str | None
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(CheckpointInfo):
    """A checkpoint with its state.

    Attributes:
        state: bytes, or what JSON makes of the value that was written; upgraded to the reader's schema version.
        newest_generation: the newest of its agent that is known. If it is above ``generation``, this is an older state.
        source: which side it came from; of one that was just written, the database.
        is_cached: whether the broker has it too, as far as is known.
        damaged: what was found damaged or missing on the way; each is in the log as well.
    """

    state: Any
    newest_generation: int
    source: Source
    is_cached: bool
    damaged: tuple[Damage, ...] = ()

    @property
    def is_newest(self) -> bool:
        """Whether nothing newer is known to have been written."""
        return self.generation >= self.newest_generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The checkpoints of an agent.

    Attributes:
        agent: whose.
        checkpoints: newest first, without their states; their headers are valid, their bodies were not looked at.
        damaged: those whose headers are not valid, and a missing newest one.
    """

    agent: str
    checkpoints: tuple[CheckpointInfo, ...]
    damaged: tuple[Damage, ...]
