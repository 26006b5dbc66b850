"""The performance audit: how well a memory serves, measured on itself."""

from collections.abc import Callable, Sequence
from typing import Any

from hive.clock import Clock
from hive.consolidation.report import Job, RunState, report_of
from hive.database.contexts import Context
from hive.database.memories import MemoryDatabase
from hive.memory.search import search

#: Searches that are timed, each for the first words of a context.
SEARCHES = 20
QUERY_CHARS = 80

#: Milliseconds a search may take at the median of this audit before it is said to be slow.
SLOW_MS = 50.0


def audit(agent: str, database: MemoryDatabase, clock: Clock) -> dict[str, Any]:
    """Return size, use and speed of an agent's memory, and what to do about it; nothing is changed.

    Raises:
        DatabaseError: the database cannot be read.
    """
    contexts = database.read(agent)
    size = database.size(agent)
    times_ms = sorted(_timed(agent, one, database, clock) for one in contexts[:: max(1, len(contexts) // SEARCHES)])
    saved = sum(
        run.tokens_before - run.tokens_after
        for run in map(report_of, database.runs(agent))
        if run.job is Job.CONTEXT_COMPACTION and run.state is not RunState.UNDONE
    )
    median_ms = times_ms[len(times_ms) // 2] if times_ms else 0.0
    found = {
        "contexts": size.count,
        "bytes": size.bytes,
        "tokens": size.token_count,
        "waiting_for_compaction": size.fresh_count,
        "archived": size.archived_count,
        "never_used": sum(one.used_count == 0 for one in contexts),
        "tokens_saved": saved,
        "search_ms_median": round(median_ms, 3),
        "search_ms_max": round(times_ms[-1], 3) if times_ms else 0.0,
    }
    return {**found, "advice": _advice(found)}


def audit_all(
    agents: Sequence[str], database: MemoryDatabase, clock: Clock, stop: Callable[[], bool]
) -> dict[str, Any]:
    """Return how many memories were audited, and the advice for those that need some; stops between two of them.

    Raises:
        DatabaseError: the database cannot be read.
    """
    advice: dict[str, list[str]] = {}
    count = 0
    for agent in agents:
        if stop():
            break
        advice[agent] = audit(agent, database, clock)["advice"]
        count += 1
    return {"agents_audited": count, "advice": {agent: words for agent, words in advice.items() if words}}


def _timed(agent: str, context: Context, database: MemoryDatabase, clock: Clock) -> float:
    began_s = clock.monotonic_s()
    search(database, agent, context.text[:QUERY_CHARS], limit=10, source=context.source or None)
    return (clock.monotonic_s() - began_s) * 1000


def _advice(found: dict[str, Any]) -> list[str]:
    advice = []
    if found["search_ms_median"] > SLOW_MS:
        advice.append(f"searches take {found['search_ms_median']:g} ms: lower memory.max_count, or update the index")
    if found["contexts"] and found["waiting_for_compaction"] > found["contexts"] / 2:
        advice.append("more than half of the memory was never compacted: consolidate more often")
    if found["contexts"] > 100 and found["never_used"] > 0.9 * found["contexts"]:
        advice.append("nine in ten contexts were never found by a search: lower memory.max_age_s")
    return advice
