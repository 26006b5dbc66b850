"""A checkpointer for LangGraph that keeps threads in a checkpoint store; needs the extra ``langgraph``.

Each namespace of a thread is an agent, and each of LangGraph's checkpoints one of its checkpoints, found by its id. What
tasks have written since a checkpoint is an agent, too, with one checkpoint for each call of ``put_writes``. All of them
are pinned: a thread stays as it is until it is deleted.

What LangGraph serializes is stored as its serializer writes it (msgpack or JSON by default).
"""

import asyncio
import builtins
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from urllib.parse import quote, unquote

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)

from hive.checkpoints.checkpoint import Kind
from hive.checkpoints.store import CheckpointStore
from hive.errors import CheckpointDamagedError

_PREFIX = "langgraph:"


class HiveSaver(BaseCheckpointSaver[int]):
    """Keeps LangGraph's threads where agents' checkpoints are: durable, sealed, encrypted if there is a key.

    May be shared by threads and forks; the asynchronous methods work in threads.

    Args:
        store: of the application, ``app.checkpoints``.
        serde: LangGraph's serializer, if not its own default.

    Raises:
        CheckpointDamagedError: (all that read) a checkpoint of the thread is damaged.
        DatabaseError: (all) the database cannot be used.

    Example:
        >>> graph = builder.compile(checkpointer=HiveSaver(app.checkpoints))  # doctest: +SKIP
    """

    def __init__(self, store: CheckpointStore, *, serde: Any = None) -> None:
        super().__init__(serde=serde)
        self.store = store

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,  # noqa: ARG002 - all channels are kept with each checkpoint
    ) -> RunnableConfig:
        """Keep a checkpoint of a thread; a repeat takes the place of the first."""
        thread, namespace = _place(config)
        values = {
            "checkpoint": checkpoint,
            "metadata": get_checkpoint_metadata(config, metadata),
            "parent": get_checkpoint_id(config),
        }
        self._write(_agent(thread, namespace), values, label=checkpoint["id"])
        return _config(thread, namespace, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task has written since a checkpoint; what it wrote first counts, so a repeat changes nothing."""
        thread, namespace = _place(config)
        numbered = [
            (WRITES_IDX_MAP.get(channel, number), channel, value) for number, (channel, value) in enumerate(writes)
        ]
        values = {"task_id": task_id, "task_path": task_path, "writes": numbered}
        self._write(_agent(thread, namespace, config["configurable"]["checkpoint_id"]), values, label=task_id)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that is named, else the thread's newest."""
        thread, namespace = _place(config)
        wanted = get_checkpoint_id(config) or max(self._ids(_agent(thread, namespace)), default=None)
        return self._tuple(thread, namespace, wanted) if wanted is not None else None

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield the checkpoints of a thread, or of all, newest first in each namespace."""
        last = get_checkpoint_id(before) if before else None
        left = limit
        for thread, namespace in self._places(config):
            for id_ in sorted(self._ids(_agent(thread, namespace)), reverse=True):
                if left == 0:
                    return
                if _is_other(config, id_) or (last is not None and id_ >= last):
                    continue
                found = self._tuple(thread, namespace, id_)
                if found is None or not _matches(found.metadata, filter):
                    continue
                left = None if left is None else left - 1
                yield found

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread: its checkpoints and writes in all namespaces."""
        for agent in tuple(self.store.agents(f"{_PREFIX}{quote(thread_id, safe='')}:")):
            self.store.forget(agent)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Like :meth:`get_tuple`."""
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Like :meth:`list`."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (one := await asyncio.to_thread(next, found, None)) is not None:
            yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Like :meth:`put`."""
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Like :meth:`put_writes`."""
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Like :meth:`delete_thread`."""
        await asyncio.to_thread(self.delete_thread, thread_id)

    def _tuple(self, thread: str, namespace: str, id_: str) -> CheckpointTuple | None:
        found = self.store.read(_agent(thread, namespace), label=id_)
        if found is None:
            return None
        values = self._loaded(found.state)
        parent = values["parent"]
        return CheckpointTuple(
            config=_config(thread, namespace, id_),
            checkpoint=values["checkpoint"],
            metadata=values["metadata"],
            parent_config=_config(thread, namespace, parent) if parent else None,
            pending_writes=self._writes(_agent(thread, namespace, id_)),
        )

    def _writes(self, agent: str) -> builtins.list[tuple[str, str, Any]]:
        kept: dict[tuple[str, str, int], tuple[str, str, Any]] = {}
        for info in reversed(self._listed(agent)):
            found = self.store.read(agent, generation=info.generation)
            if found is None:
                continue
            values = self._loaded(found.state)
            for number, channel, value in values["writes"]:
                key = writes_sort_key(values["task_path"], values["task_id"], number)
                # Errors, interrupts and the like have negative numbers, and the last one counts.
                if number < 0 or key not in kept:
                    kept[key] = (values["task_id"], channel, value)
        return [kept[key] for key in sorted(kept)]

    def _places(self, config: RunnableConfig | None) -> Iterator[tuple[str, str]]:
        thread = config["configurable"]["thread_id"] if config else None
        namespace = config["configurable"].get("checkpoint_ns") if config else None
        prefix = _PREFIX if thread is None else f"{_PREFIX}{quote(thread, safe='')}:"
        for agent in tuple(self.store.agents(prefix)):
            parts = agent.removeprefix(_PREFIX).split(":")
            if len(parts) == 2 and namespace in {None, unquote(parts[1])}:
                yield unquote(parts[0]), unquote(parts[1])

    def _ids(self, agent: str) -> set[str]:
        return {info.label for info in self._listed(agent) if info.label is not None}

    def _listed(self, agent: str) -> Sequence[Any]:
        listing = self.store.list(agent)
        if listing.damaged:
            reasons = "; ".join(dict.fromkeys(damage.reason for damage in listing.damaged))
            raise CheckpointDamagedError(agent, f"some of what is kept is damaged: {reasons}")
        return listing.checkpoints

    def _write(self, agent: str, values: dict[str, Any], *, label: str) -> None:
        kind, content = self.serde.dumps_typed(values)
        self.store.write(agent, kind.encode() + b"\0" + content, kind=Kind.SCHEDULED, label=label, pinned=True)

    def _loaded(self, state: bytes) -> dict[str, Any]:
        kind, _, content = state.partition(b"\0")
        loaded: dict[str, Any] = self.serde.loads_typed((kind.decode(), content))
        return loaded


def _place(config: RunnableConfig) -> tuple[str, str]:
    return config["configurable"]["thread_id"], config["configurable"].get("checkpoint_ns", "")


def _config(thread: str, namespace: str, id_: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": id_}}


def _agent(*parts: str) -> str:
    return _PREFIX + ":".join(quote(part, safe="") for part in parts)


def _is_other(config: RunnableConfig | None, id_: str) -> bool:
    wanted = get_checkpoint_id(config) if config else None
    return wanted is not None and wanted != id_


def _matches(metadata: CheckpointMetadata, wanted: dict[str, Any] | None) -> bool:
    return all(metadata.get(key) == value for key, value in (wanted or {}).items())
