"""Consolidation as an application's processes reach it: in this process, or as tasks, a queue for each job."""

from collections.abc import Callable, Sequence
from typing import Any

from hive.clock import SystemClock
from hive.consolidation.consolidator import Consolidator
from hive.consolidation.context_compaction import FRESH, SLICE_CONTEXTS
from hive.consolidation.report import Job, Report
from hive.database.memories import MemoryDatabase
from hive.deadletter.archivist import expire_letters
from hive.memory.memory import Memory
from hive.memory.opening import open_memories
from hive.memory.tokens import token_counter
from hive.runtime.home import Home, archive_of
from hive.store.cleanup import clean

#: Seconds after which an answer to `inspect` that nobody read is removed.
REPLIES_IDLE_S = 3_600


def database_of(app: Any) -> MemoryDatabase:
    """Return a new database of memories as an application's settings mean it; nothing is made yet. It has one itself.

    Raises:
        SettingsError: its address is none.
    """
    url = app.settings.memory.database_url
    return open_memories(url.get_secret_value() if url is not None else None, Home(app.settings.home).memories)


def memory_of(app: Any, agent: str) -> Memory:
    """Return the memory of an agent; nothing is made yet.

    Raises:
        SettingsError: the address of the database is none, or the tokenizer is not here.
        InputError: the agent has no name.
    """
    settings = app.settings.memory
    return Memory(agent, app.memories, settings=settings, count_tokens=token_counter(settings.tokenizer_model))


def loose_tokens(app: Any, agent: str) -> int:
    """Return the tokens that the first slice of a compaction would take up now; what is too fresh for one does not count.

    Raises:
        DatabaseError: the database cannot be used.
    """
    before_ms = SystemClock().wall_ms() - round(app.settings.memory.compact_after_s * 1000)
    loose = app.memories.read(agent, kinds=FRESH, before_ms=before_ms, limit=SLICE_CONTEXTS)
    return sum(one.token_count for one in loose)


def consolidator_of(app: Any) -> Consolidator:
    """Return what consolidates the memories of an application's agents; nothing is made or connected yet.

    Raises:
        SettingsError: the address of the database is none, or the tokenizer is not here.
    """

    def clean_broker(stop: Callable[[], bool]) -> dict[str, int]:
        return clean(
            app.access.store.client,
            app.settings.broker.key_prefix,
            stop,
            results_idle_s=round(app.settings.results.expires_s),
            replies_idle_s=REPLIES_IDLE_S,
        )

    prunings = {
        "checkpoints_removed": lambda stop: int(app.checkpoints.prune(stop)),
        "dead_letters_deleted": lambda stop: expire_letters(archive_of(app.settings), app.settings.dead, stop),
    }
    return Consolidator(app.memories, app.settings.memory, clean_broker=clean_broker, prunings=prunings)


def consolidate(
    app: Any,
    agent: str | None,
    jobs: Sequence[Job] = tuple(Job),
    *,
    stop: Callable[[], bool] = lambda: False,
    dry_run: bool = False,
) -> list[Report]:
    """Do jobs of consolidation for an agent, or for all, in this process; see :meth:`Consolidator.consolidate`."""
    return consolidator_of(app).consolidate(agent, jobs, stop=stop, dry_run=dry_run)


def for_a_while(seconds: float) -> Callable[[], bool]:
    """Return what says stop after so many seconds."""
    clock = SystemClock()
    until_s = clock.monotonic_s() + seconds
    return lambda: clock.monotonic_s() >= until_s
