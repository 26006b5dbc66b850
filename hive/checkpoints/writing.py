"""Writing a checkpoint: which generation it becomes, and whether its writer still may."""

from dataclasses import dataclass
from typing import Any

from hive.checkpoints.checkpoint import Checkpoint, CheckpointInfo, Damage, Kind, Source
from hive.checkpoints.durable import Valid, standing
from hive.checkpoints.head import Head
from hive.checkpoints.record import Packed, built, packed
from hive.checkpoints.sides import Sides, check_names
from hive.database.checkpoints import DatabaseError, StoredCheckpoint, StoredHead
from hive.errors import InputError, StaleCheckpointError

#: Times a step is tried again because another writer came in between; each time that one has got on.
TRIES = 1_000


#: Databases hold numbers of 63 bits.
MOST_TOKENS = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is written beside a state.

    Attributes:
        kind: why it is written.
        token: of the delivery that writes; none: it is not fenced.
        label: to find it by.
        schema_version: of the state.
        is_pinned: whether only forgetting removes it.
    """

    kind: Kind
    token: int | None
    label: str | None
    schema_version: int
    is_pinned: bool


class Writer:
    """Writes and forgets.

    Args:
        sides: of the store.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def write(self, agent: str, state: Any, order: Order) -> Checkpoint:
        """See :meth:`hive.checkpoints.store.CheckpointStore.write`."""
        check_names(agent, order.label)
        token = order.token
        if token is not None and not 0 <= token < MOST_TOKENS:
            raise InputError(f"a fencing token must be a number from 0 to 2**63 - 1, not {token}")
        sides = self._sides
        content = packed(state, sides.settings.zstd_level)
        sides.at("packed")
        for _ in range(TRIES):
            stored, head, damaged = self.standing(agent)
            if token is not None and token < head.fencing_token:
                raise StaleCheckpointError(agent, token, head.fencing_token)
            newest = Head(
                agent=agent, generation=head.generation + 1, fencing_token=max(token or 0, head.fencing_token)
            )
            sides.at("looked")
            valid = self._sealed(content, newest, order)
            if self._add(newest, valid, stored, order.is_pinned):
                is_cached = sides.cache.keep(newest, valid)
                sides.at("cached")
                return checkpoint_of(valid, state, newest.generation, Source.DATABASE, is_cached, damaged)
        raise DatabaseError(f"checkpoint of agent {agent!r}: other writers came in between {TRIES} times")

    def forget(self, agent: str) -> int:
        """See :meth:`hive.checkpoints.store.CheckpointStore.forget`."""
        check_names(agent, None)
        sides = self._sides
        for _ in range(TRIES):
            stored, head, _ = self.standing(agent)
            if head.generation == 0 or head.is_forgotten:
                return 0
            # The entry stays: what a late reader may put back on the broker is older than it.
            gone = Head(
                agent=agent, generation=head.generation + 1, fencing_token=head.fencing_token, is_forgotten=True
            )
            removed = sides.database.forget(gone.stored(sides.clock.wall_ms()), expected=stored)
            if removed is not None:
                sides.cache.keep(gone, None)
                return removed
        raise DatabaseError(f"checkpoints of agent {agent!r}: writers came in between {TRIES} times")

    def standing(self, agent: str) -> tuple[StoredHead | None, Head, tuple[Damage, ...]]:
        """Return the head in the database as it lies there, what both sides together say, and what was damaged."""
        sides = self._sides
        now, cached = standing(sides.database, agent), sides.cache.head(agent)
        damaged = (*now.damaged, *cached.damaged)
        sides.report(damaged)
        if cached.damaged:
            sides.cache.drop(agent)
        newest = max(now.head, cached.head, key=lambda head: head.generation)
        token = max(now.head.fencing_token, cached.head.fencing_token)
        head = Head(agent=agent, generation=newest.generation, fencing_token=token, is_forgotten=newest.is_forgotten)
        return now.stored, head, damaged

    def _sealed(self, content: Packed, head: Head, order: Order) -> Valid:
        info = CheckpointInfo(
            agent=head.agent,
            generation=head.generation,
            kind=order.kind,
            at_ms=self._sides.clock.wall_ms(),
            fencing_token=order.token,
            label=order.label,
            schema_version=order.schema_version,
            size_bytes=content.size_bytes,
            stored_bytes=0,
            key_id=None,
            sha256="",
        )
        header, body = built(content, info, self._sides.keyring)
        self._sides.at("sealed")
        return Valid(header=header, sealed=header.sealed(), body=body)

    def _add(self, head: Head, valid: Valid, expected: StoredHead | None, is_pinned: bool) -> bool:
        info = valid.header.info
        row = StoredCheckpoint(
            agent=info.agent,
            generation=info.generation,
            at_ms=info.at_ms,
            label=info.label,
            is_pinned=is_pinned,
            header=valid.sealed,
            body=valid.body,
        )
        return self._sides.database.add(
            head.stored(info.at_ms), row, expected=expected, keep_count=self._sides.settings.keep_count
        )


def checkpoint_of(
    valid: Valid, state: Any, newest: int, source: Source, is_cached: bool, damaged: tuple[Damage, ...]
) -> Checkpoint:
    """Return a valid checkpoint with its state."""
    info = valid.header.info
    fields = {name: getattr(info, name) for name in CheckpointInfo.__dataclass_fields__}
    return Checkpoint(
        **fields, state=state, newest_generation=newest, source=source, is_cached=is_cached, damaged=damaged
    )
