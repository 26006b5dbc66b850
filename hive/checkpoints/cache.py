"""The broker's side: the newest checkpoint of each agent, which may be gone at any time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hive.checkpoints.checkpoint import Damage, Source
from hive.checkpoints.durable import Valid
from hive.checkpoints.head import Head, of_kept
from hive.checkpoints.record import DamagedError, check_body, divided, header_of, joined
from hive.errors import BrokerError
from hive.settings.agent_state import CheckpointSettings
from hive.store.checkpoints import KeptHead
from hive.store.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """What the broker has of an agent.

    Attributes:
        head: where its checkpoints stand; generation 0: nothing is known.
        newest: the checkpoint, if it is there and valid.
        damaged: what is not valid.
    """

    head: Head
    newest: Valid | None = None
    damaged: tuple[Damage, ...] = ()


class Cache:
    """Keeps checkpoints on the broker. A broker that is away or full costs time, never a checkpoint.

    Args:
        store: the broker, asked for at each use; none: there is no cache.
        settings: for how long.
    """

    def __init__(self, store: Callable[[], Store] | None, settings: CheckpointSettings) -> None:
        self._store = store if settings.cache_s > 0 else None
        self._settings = settings

    def keep(self, head: Head, valid: Valid | None) -> bool:
        """Keep what the database has; false if the broker does not have it now."""
        if self._store is None:
            return False
        settings = self._settings
        is_small = valid is not None and valid.header.info.stored_bytes <= settings.cache_max_bytes
        record = joined(valid.sealed, valid.body) if valid is not None and is_small else b""
        try:
            kept = self._store().keep_checkpoint(
                head.kept(), record, head_s=max(settings.keep_s, settings.cache_s), record_s=settings.cache_s
            )
        except BrokerError as error:
            # The database has it: that is what counts.
            logger.warning("checkpoint of agent %r is not on the broker: %s", head.agent, error)
            return False
        return kept and is_small

    def head(self, agent: str) -> Cached:
        """Return where the broker says an agent's checkpoints stand, without the newest of them."""
        if self._store is None:
            return Cached(head=Head(agent=agent))
        try:
            return self._judged(agent, self._store().checkpoint_head(agent), None)
        except BrokerError as error:
            return self._away(agent, error)

    def newest(self, agent: str) -> Cached:
        """Return what the broker has of an agent."""
        if self._store is None:
            return Cached(head=Head(agent=agent))
        try:
            return self._judged(agent, *self._store().checkpoint(agent))
        except BrokerError as error:
            return self._away(agent, error)

    def drop(self, agent: str) -> None:
        """Remove what the broker has of an agent, so that the next read brings it anew."""
        if self._store is None:
            return
        try:
            self._store().drop_checkpoint(agent)
        except BrokerError as error:
            logger.warning("what the broker has of agent %r could not be removed: %s", agent, error)

    def _judged(self, agent: str, kept: KeptHead | None, record: bytes | None) -> Cached:
        damaged: list[Damage] = []
        head = of_kept(agent, kept) if kept is not None else Head(agent=agent)
        if head is None:
            damaged.append(_damage(agent, None, "the entry that says which checkpoint is the newest is damaged"))
            head = Head(agent=agent)
        newest = None
        if record is not None:
            sealed, body = divided(record)
            try:
                header = header_of(sealed, agent)
                check_body(header, body)
                newest = Valid(header=header, sealed=sealed, body=body)
            except DamagedError as error:
                damaged.append(_damage(agent, head.generation or None, str(error)))
        return Cached(head=head, newest=newest, damaged=tuple(damaged))

    def _away(self, agent: str, error: BrokerError) -> Cached:
        logger.warning("the broker is not asked about checkpoints of agent %r: %s", agent, error)
        return Cached(head=Head(agent=agent))


def _damage(agent: str, generation: int | None, reason: str) -> Damage:
    return Damage(agent=agent, source=Source.CACHE, generation=generation, reason=reason)
