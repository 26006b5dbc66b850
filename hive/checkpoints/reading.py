"""Reading: the newest valid checkpoint, and what was damaged on the way."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hive.checkpoints.cache import Cached
from hive.checkpoints.checkpoint import Checkpoint, Damage, Listing, Source
from hive.checkpoints.durable import Standing, Valid, checked, standing
from hive.checkpoints.head import Head
from hive.checkpoints.record import DamagedError, header_of, state_of, unpacked
from hive.checkpoints.schema import StateSchema
from hive.checkpoints.sides import Sides, check_names
from hive.checkpoints.writing import TRIES, checkpoint_of
from hive.database.checkpoints import DatabaseError, StoredCheckpoint
from hive.errors import CheckpointDamagedError

#: Newest generations that a read looks at.
READ_GENERATIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look at both sides has found.

    Attributes:
        valid: the newest valid checkpoint; none: there is none.
        source: where it was.
        newest: the newest generation that is known.
        token: the newest fencing token that is known.
        damaged: on the way.
    """

    valid: Valid | None
    source: Source
    newest: int
    token: int = 0
    damaged: tuple[Damage, ...] = ()


class Reader:
    """Reads and lists.

    Args:
        sides: of the store.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def newest(self, agent: str, schema: StateSchema | None) -> Checkpoint | None:
        """Return the newest checkpoint; see :meth:`hive.checkpoints.store.CheckpointStore.read`."""
        check_names(agent, None)
        sides = self._sides
        for _ in range(TRIES):
            now = standing(sides.database, agent)
            cached = sides.cache.newest(agent)
            found = self._found(agent, now, cached)
            # What seems to be missing may have been replaced, or forgotten, by another process meanwhile.
            if not found.damaged or sides.database.head(agent) == now.stored:
                return self._opened(agent, found, cached, schema)
        raise DatabaseError(f"checkpoint of agent {agent!r}: writers came in between {TRIES} times")

    def certain(
        self, agent: str, generation: int | None, label: str | None, schema: StateSchema | None
    ) -> Checkpoint | None:
        """Return one checkpoint and no other; see :meth:`hive.checkpoints.store.CheckpointStore.read`."""
        check_names(agent, label)
        database = self._sides.database
        row = database.one(agent, generation) if generation is not None else database.labelled(agent, label or "")
        if row is None or (label is not None and row.label != label):
            return None
        valid = checked(agent, row)
        if isinstance(valid, Damage):
            self._sides.report([valid])
            raise CheckpointDamagedError(agent, f"generation {row.generation} is damaged: {valid.reason}")
        newest = max(standing(database, agent).head.generation, row.generation)
        return self._checkpoint(valid, Found(valid=valid, source=Source.DATABASE, newest=newest), False, schema)

    def listing(self, agent: str) -> Listing:
        """Return the checkpoints of an agent; see :meth:`hive.checkpoints.store.CheckpointStore.list`."""
        check_names(agent, None)
        now = standing(self._sides.database, agent)
        infos, damaged = [], list(now.damaged)
        for row in self._sides.database.headers(agent):
            try:
                infos.append(header_of(row.header, agent, row.generation).info)
            except DamagedError as error:
                damaged.append(_damage(agent, row.generation, str(error)))
        seen = {info.generation for info in infos} | {damage.generation for damage in damaged} | {0}
        if not now.head.is_forgotten and now.head.generation not in seen:
            damaged.append(_damage(agent, now.head.generation, "it is missing"))
        return Listing(agent=agent, checkpoints=tuple(infos), damaged=tuple(damaged))

    def _found(self, agent: str, now: Standing, cached: Cached) -> Found:
        damaged = (*now.damaged, *cached.damaged)
        head = max(now.head, cached.head, key=lambda one: one.generation)
        kept = cached.newest
        if kept is not None and kept.header.info.generation > head.generation:
            head = Head(agent=agent, generation=kept.header.info.generation)
        if head.generation == 0 or head.is_forgotten:
            return Found(valid=None, source=Source.DATABASE, newest=head.generation, damaged=damaged)
        if kept is not None and kept.header.info.generation == head.generation:
            return Found(valid=kept, source=Source.CACHE, newest=head.generation, damaged=damaged)
        token = max(now.head.fencing_token, cached.head.fencing_token)
        return self._in_database(agent, head.generation, token, damaged)

    def _in_database(self, agent: str, newest: int, token: int, damaged: tuple[Damage, ...]) -> Found:
        is_there = False
        found = None
        for row in self._newest_first(agent):
            is_there = is_there or row.generation >= newest
            valid = checked(agent, row)
            if isinstance(valid, Valid):
                found, token = valid, max(token, valid.header.info.fencing_token or 0)
                newest = max(newest, row.generation)
                break
            damaged = (*damaged, valid)
        if not is_there:
            damaged = (*damaged, _damage(agent, newest, "it is missing"))
        return Found(valid=found, source=Source.DATABASE, newest=newest, token=token, damaged=damaged)

    def _newest_first(self, agent: str) -> Iterator[StoredCheckpoint]:
        first = self._sides.database.newest(agent, 1)
        yield from first
        # Seldom needed, and three times as much to read.
        yield from self._sides.database.newest(agent, READ_GENERATIONS)[len(first) :]

    def _opened(self, agent: str, found: Found, cached: Cached, schema: StateSchema | None) -> Checkpoint | None:
        sides = self._sides
        sides.report(found.damaged)
        if cached.damaged:
            sides.cache.drop(agent)
        if found.valid is None:
            if not found.damaged:
                return None
            reasons = "; ".join(dict.fromkeys(damage.reason for damage in found.damaged))
            raise CheckpointDamagedError(
                agent, f"none of the newest {READ_GENERATIONS} generations is valid: {reasons}"
            )
        is_cached = found.source is Source.CACHE
        info = found.valid.header.info
        if not is_cached and info.generation == found.newest:
            head = Head(agent=agent, generation=info.generation, fencing_token=found.token)
            is_cached = sides.cache.keep(head, found.valid)
        return self._checkpoint(found.valid, found, is_cached, schema)

    def _checkpoint(self, valid: Valid, found: Found, is_cached: bool, schema: StateSchema | None) -> Checkpoint:
        header = valid.header
        state: Any = state_of(unpacked(header, valid.body, self._sides.keyring))
        wanted = schema or self._sides.schema
        if wanted is not None:
            state = wanted.upgraded(header.info.agent, header.info.schema_version, state)
        return checkpoint_of(valid, state, found.newest, found.source, is_cached, found.damaged)


def _damage(agent: str, generation: int, reason: str) -> Damage:
    return Damage(agent=agent, source=Source.DATABASE, generation=generation, reason=reason)
