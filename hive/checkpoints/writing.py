"""Writing a checkpoint: which generation it becomes, and whether its writer still may."""

from typing import Any

from hive.checkpoints.checkpoint import Checkpoint, CheckpointInfo, Damage, Kind, Source
from hive.checkpoints.durable import Valid, standing
from hive.checkpoints.head import Head
from hive.checkpoints.record import Packed, built, packed
from hive.checkpoints.schema import StateSchema
from hive.checkpoints.sides import Sides, check_names
from hive.database.checkpoints import DatabaseError, StoredCheckpoint, StoredHead
from hive.errors import StaleCheckpointError

#: Times a step is tried again because another writer came in between; each time that one has got on.
TRIES = 1_000


class Writer:
    """Writes and forgets.

    Args:
        sides: of the store.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def write(
        self, agent: str, state: Any, kind: Kind, token: int | None, label: str | None, schema: StateSchema | None
    ) -> Checkpoint:
        """See :meth:`hive.checkpoints.store.CheckpointStore.write`."""
        check_names(agent, label)
        sides = self._sides
        content = packed(state, sides.settings.zstd_level)
        version = (schema or sides.schema or StateSchema()).version
        sides.at("packed")
        for _ in range(TRIES):
            stored, head, damaged = self.standing(agent)
            if token is not None and token < head.fencing_token:
                raise StaleCheckpointError(agent, token, head.fencing_token)
            newest = Head(
                agent=agent, generation=head.generation + 1, fencing_token=max(token or 0, head.fencing_token)
            )
            sides.at("looked")
            valid = self._sealed(content, newest, kind=kind, token=token, label=label, version=version)
            if self._add(newest, valid, stored):
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

    def _sealed(
        self, content: Packed, head: Head, *, kind: Kind, token: int | None, label: str | None, version: int
    ) -> Valid:
        info = CheckpointInfo(
            agent=head.agent,
            generation=head.generation,
            kind=Kind(kind),
            at_ms=self._sides.clock.wall_ms(),
            fencing_token=token,
            label=label,
            schema_version=version,
            size_bytes=content.size_bytes,
            stored_bytes=0,
            key_id=None,
            sha256="",
        )
        header, body = built(content, info, self._sides.keyring)
        self._sides.at("sealed")
        return Valid(header=header, sealed=header.sealed(), body=body)

    def _add(self, head: Head, valid: Valid, expected: StoredHead | None) -> bool:
        info = valid.header.info
        row = StoredCheckpoint(
            agent=info.agent,
            generation=info.generation,
            at_ms=info.at_ms,
            label=info.label,
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
