"""Checkpoints as a database keeps them: sealed bytes by agent and generation, and one head for each agent."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hive.errors import HiveError

#: Told the name of each step of a write, right after it; a test kills its process there.
FaultPoint = Callable[[str], None]


#: Sorts after all that follows a prefix; Unicode has no sign there.
LAST_SIGN = "\U0010ffff"


class DatabaseError(HiveError):
    """The database cannot be used now; nothing was written, or it is not known whether it was."""

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHead:
    """Where an agent's checkpoints stand; as it lies in the database, so nothing in it is certain.

    Attributes:
        agent: whose.
        generation: of the newest checkpoint, or of the forgetting.
        fencing_token: the newest seen.
        is_forgotten: 1 if the agent was forgotten and nothing was written since, else 0.
        at_ms: when it was written, in milliseconds since 1970.
        seal: over all the others but ``at_ms``.
    """

    agent: str
    generation: int
    fencing_token: int
    is_forgotten: int
    at_ms: int
    seal: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheckpoint:
    """One checkpoint as it lies in the database, so nothing in it is certain.

    Attributes:
        agent: whose.
        generation: which.
        at_ms: when it was written, in milliseconds since 1970.
        label: what it can be found by.
        is_pinned: whether neither count nor age removes it.
        header: sealed: says everything again, and the digest of the body.
        body: the state; empty where only headers were asked for.
    """

    agent: str
    generation: int
    at_ms: int
    label: str | None
    is_pinned: bool
    header: bytes
    body: bytes


class CheckpointDatabase(Protocol):
    """The durable side. May be used by threads, forks and several processes; each change is one transaction.

    Every method raises ``DatabaseError`` if the database cannot be used.
    """

    @property
    def place(self) -> str:
        """Where it is, for an operator; says no password."""

    def head(self, agent: str) -> StoredHead | None:
        """Return the head of an agent."""

    def add(self, head: StoredHead, row: StoredCheckpoint, *, expected: StoredHead | None, keep_count: int) -> bool:
        """Move the head and add a checkpoint; on disk when this returns.

        Args:
            head: the new one.
            row: the new checkpoint.
            expected: the head as it was read; none: there was none.
            keep_count: of the checkpoints that are not pinned, older ones than this many are removed in the same transaction.

        Returns:
            False, and nothing is changed, if the head is another one by now.
        """

    def forget(self, head: StoredHead, *, expected: StoredHead | None) -> int | None:
        """Move the head and remove all checkpoints of its agent; none if the head is another one by now."""

    def newest(self, agent: str, limit: int) -> list[StoredCheckpoint]:
        """Return the newest checkpoints of an agent, newest first."""

    def one(self, agent: str, generation: int) -> StoredCheckpoint | None:
        """Return one generation."""

    def labelled(self, agent: str, label: str) -> StoredCheckpoint | None:
        """Return the newest checkpoint with a label."""

    def headers(self, agent: str) -> list[StoredCheckpoint]:
        """Return all checkpoints of an agent without their bodies, newest first."""

    def replace(self, row: StoredCheckpoint, *, expected_header: bytes) -> bool:
        """Put other bytes in place of a checkpoint; false if it is gone or another by now."""

    def prune(self, *, before_ms: int, keep_least: int, stop: Callable[[], bool]) -> int:
        """Remove checkpoints older than an instant, but for pinned ones and the newest few of each agent.

        Returns how many. Heads of agents that were forgotten before then go too. Works in short transactions, between
        which it asks whether to stop; a repeat does the rest.
        """

    def agents(self, prefix: str = "") -> Iterator[str]:
        """Yield the agents that have checkpoints, by name."""

    def close(self) -> None:
        """Let go of connections; using it again connects again."""


def nowhere(_: str) -> None:
    """Be no fault point."""


def as_bytes(value: object) -> bytes:
    """Return what a column holds as bytes, also if damage has made something else of it."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode(errors="replace")


def head_of(agent: str, columns: Sequence[object]) -> StoredHead:
    """Return generation, token, whether forgotten, time and seal, as selected in this order, as the head of an agent."""
    generation, token, is_forgotten, at_ms, seal = columns
    return StoredHead(
        agent=agent,
        generation=_as_int(generation),
        fencing_token=_as_int(token),
        is_forgotten=_as_int(is_forgotten),
        at_ms=_as_int(at_ms),
        seal=as_bytes(seal),
    )


def row_of(columns: Sequence[object], body: object = b"") -> StoredCheckpoint:
    """Return agent, generation, time, label, whether pinned, and header, selected in this order, as a checkpoint."""
    agent, generation, at_ms, label, is_pinned, header = columns
    return StoredCheckpoint(
        agent=str(agent),
        generation=_as_int(generation),
        at_ms=_as_int(at_ms),
        label=None if label is None else str(label),
        is_pinned=is_pinned == 1,
        header=as_bytes(header),
        body=as_bytes(body),
    )


def _as_int(value: object) -> int:
    """Return what a column holds as a number; damage may have made something else of it."""
    return value if isinstance(value, int) else -1
