"""Checkpoints of agents: kept in a database, and the newest of each on the broker beside it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from hive.checkpoints.cache import Cache
from hive.checkpoints.checkpoint import Checkpoint, Damage, Kind, Listing
from hive.checkpoints.encryption import Keyring
from hive.checkpoints.reading import READ_GENERATIONS, Reader
from hive.checkpoints.reencryption import reencrypted
from hive.checkpoints.schema import StateSchema
from hive.checkpoints.sides import Sides
from hive.checkpoints.writing import Order, Writer
from hive.clock import Clock, SystemClock
from hive.database.checkpoints import CheckpointDatabase, FaultPoint, nowhere
from hive.settings.agent_state import CheckpointSettings
from hive.store.store import Store


class CheckpointStore:
    """Keeps the state of agents. May be shared by threads and forks; any number of processes may use one database.

    A write is committed when the database has it; then the broker gets it, for quick reads. A read asks the database
    which checkpoint is the newest, so what the broker has is never taken for newer than it is.

    Args:
        database: the durable side.
        broker: asked for the broker's store at each use; none: checkpoints lie in the database only.
        settings: retention, time on the broker, compression, keys.
        schema: of the states, where a call names no other; none: they are written as version 1 and read as they stand.
        clock: of this host.
        on_damage: told of whatever is found damaged or missing, beside the log.
        at: a test's fault points.

    Raises:
        SettingsError: the keys cannot be used.

    Example:
        >>> store.write("reviewer-7", {"messages": []}, kind=Kind.PRE_SLEEP)  # doctest: +SKIP
        >>> store.read("reviewer-7").state  # doctest: +SKIP
        {'messages': []}
    """

    def __init__(
        self,
        database: CheckpointDatabase,
        *,
        broker: Callable[[], Store] | None = None,
        settings: CheckpointSettings | None = None,
        schema: StateSchema | None = None,
        clock: Clock | None = None,
        on_damage: Callable[[Damage], None] | None = None,
        at: FaultPoint | None = None,
    ) -> None:
        self.settings = settings or CheckpointSettings()
        keys = self.settings.keys
        self._sides = Sides(
            database=database,
            cache=Cache(broker, self.settings),
            settings=self.settings,
            keyring=Keyring.parsed(keys.get_secret_value()) if keys is not None else None,
            schema=schema,
            clock=clock or SystemClock(),
            on_damage=on_damage,
            at=at or nowhere,
        )
        self._writer, self._reader = Writer(self._sides), Reader(self._sides)

    @property
    def database(self) -> CheckpointDatabase:
        """The durable side."""
        return self._sides.database

    @property
    def place(self) -> str:
        """Where the database is, for an operator; says no password."""
        return self._sides.database.place

    def write(
        self,
        agent: str,
        state: Any,
        *,
        kind: Kind = Kind.MANUAL,
        fencing_token: int | None = None,
        label: str | None = None,
        schema: StateSchema | None = None,
        pinned: bool = False,
    ) -> Checkpoint:
        """Write the state of an agent as its next generation; it is on disk when this returns.

        All of it is written or nothing. A repeat writes the same state once more.

        Args:
            agent: whose state; any name up to 1 kB.
            state: bytes, a value that JSON can hold, or a pydantic model; never pickled.
            kind: why it is written.
            fencing_token: of the delivery that writes; none: it is not fenced (an operator, a test).
            label: a name to find this checkpoint by; the newest one of that name is found.
            schema: of this state, instead of the store's.
            pinned: whether it stays until its agent is forgotten, whatever ``keep_count`` and ``keep_s`` say.

        Raises:
            StaleCheckpointError: a newer token was seen; nothing was written.
            InputError: the state cannot be written.
            DatabaseError: nothing was written, unless the connection to PostgreSQL was lost during the commit.
        """
        version = (schema or self._sides.schema or StateSchema()).version
        order = Order(kind=Kind(kind), token=fencing_token, label=label, schema_version=version, is_pinned=pinned)
        return self._writer.write(agent, state, order)

    def read(
        self,
        agent: str,
        *,
        generation: int | None = None,
        label: str | None = None,
        schema: StateSchema | None = None,
    ) -> Checkpoint | None:
        """Return the newest checkpoint of an agent that is valid, or a certain one.

        Where the newest is damaged, the newest valid one of three generations is returned: its ``is_newest`` is false
        then, and ``damaged`` says why. Nothing older is ever returned without that.

        Args:
            agent: whose.
            generation: that one and no other.
            label: the newest with that label and no other.
            schema: to upgrade the state to, instead of the store's.

        Returns:
            The checkpoint; none: there is none (of that generation or label).

        Raises:
            CheckpointDamagedError: none of the newest three is valid, or the one asked for is not.
            CheckpointKeyError: it is encrypted, and its key is not in the settings.
            CheckpointSchemaError: its state cannot be upgraded.
            DatabaseError: the database cannot be read.
        """
        if generation is None and label is None:
            return self._reader.newest(agent, schema)
        return self._reader.certain(agent, generation, label, schema)

    def list(self, agent: str) -> Listing:
        """Return what is kept of an agent, newest first, without the states.

        Raises:
            DatabaseError: the database cannot be read.
        """
        return self._reader.listing(agent)

    def agents(self, prefix: str = "") -> Iterator[str]:
        """Yield the agents that have checkpoints, by name.

        Raises:
            DatabaseError: the database cannot be read.
        """
        return self._sides.database.agents(prefix)

    def forget(self, agent: str) -> int:
        """Remove all checkpoints of an agent and return how many there were. A repeat does nothing.

        Its next checkpoint goes on with the generations, and an old fencing token is still refused.

        Raises:
            DatabaseError: the database cannot be used; nothing was removed.
        """
        return self._writer.forget(agent)

    def prune(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Remove checkpoints older than ``keep_s``, but for the newest three of each agent; returns how many.

        Those past ``keep_count`` are removed by each write. A repeat does what an interrupted one has left. Consolidation's
        database maintenance does this.

        Args:
            stop: asked between steps of some checkpoints.

        Raises:
            DatabaseError: the database cannot be used; some may have been removed.
        """
        before_ms = self._sides.clock.wall_ms() - round(self.settings.keep_s * 1000)
        return self._sides.database.prune(before_ms=before_ms, keep_least=READ_GENERATIONS, stop=stop)

    def reencrypt(self, agent: str | None = None) -> int:
        """Encrypt what another key, or none, encrypts with the first key of the settings; returns how many were moved.

        Writers and readers go on meanwhile, as long as they have both keys. A repeat does what an interrupted one has left.

        Args:
            agent: whose; none: of all agents.

        Raises:
            CheckpointKeyError: a checkpoint is encrypted with a key that is not in the settings.
            DatabaseError: the database cannot be used; some may have been moved.
        """
        agents = self.agents() if agent is None else [agent]
        return sum(reencrypted(self._sides, name) for name in agents)

    async def awrite(self, agent: str, state: Any, **options: Any) -> Checkpoint:
        """Like :meth:`write`, in a thread, so that an event loop goes on meanwhile."""
        return await asyncio.to_thread(self.write, agent, state, **options)

    async def aread(self, agent: str, **options: Any) -> Checkpoint | None:
        """Like :meth:`read`, in a thread, so that an event loop goes on meanwhile."""
        return await asyncio.to_thread(self.read, agent, **options)

    def close(self) -> None:
        """Let go of the connections to the database; using the store again connects again."""
        self._sides.database.close()
