"""Where the contexts of agents are kept: what every database of memories does."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hive.database.contexts import Context, ContextKind
from hive.errors import HiveError

#: Columns of a context, without its id, and what an archived one has besides, as :func:`context_of` and :func:`archived_of`
#: take them.
COLUMNS = "kind, text, author, source, at_ms, used_count, token_count, subject"
ARCHIVED_COLUMNS = f"{COLUMNS}, run, reason, gone_at_ms, until_ms, written_by"

#: What the archive calls contexts that left without a run of consolidation.
FORGOTTEN = "forgotten"
BOUNDS = "bounds"


class MemoryConflictError(HiveError):
    """Something a step was decided on is no longer there; nothing was changed: decide again."""

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedContext:
    """A context that left an agent's memory and can be put back.

    Attributes:
        context: as it stood there.
        run: what took it out: a run of consolidation, or another name.
        reason: why.
        gone_at_ms: when.
        until_ms: when it may be deleted for good.
        written_by: the run that had written it, empty for what was appended.
    """

    context: Context
    run: str
    reason: str
    gone_at_ms: int
    until_ms: int
    written_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySize:
    """How large an agent's memory is.

    Attributes:
        count: contexts in it.
        bytes: of their texts in UTF-8.
        token_count: of their texts.
        fresh_count: contexts that were never compacted.
        archived_count: contexts that left it and can be put back.
        oldest_at_ms: of its oldest context, 0 if it is empty.
    """

    count: int
    bytes: int
    token_count: int
    fresh_count: int
    archived_count: int
    oldest_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run of consolidation.

    Attributes:
        run: its name, unique.
        agent: whose memory.
        job: what was done.
        started_at_ms: when.
        state: of :class:`hive.consolidation.report.RunState`; one that was killed is ``running`` until it is taken up again.
        report: what it did, as JSON.
    """

    run: str
    agent: str
    job: str
    started_at_ms: int
    state: str
    report: str


class MemoryDatabase(Protocol):
    """The contexts of all agents. May be used by threads, forks and several processes at a time.

    Every method raises :class:`~hive.database.checkpoints.DatabaseError` where the database cannot be used. What a method changes it changes in
    one transaction: all or nothing, whenever it is killed.
    """

    @property
    def place(self) -> str:
        """Where it is, for an operator; says no password."""

    def close(self) -> None:
        """Close the connections that nobody uses; a later call opens new ones."""

    def append(self, agent: str, contexts: Sequence[Context]) -> list[int]:
        """Keep contexts and return their ids, in order; a repeat keeps them twice."""

    def read(
        self,
        agent: str,
        *,
        ids: Collection[int] | None = None,
        kinds: Collection[ContextKind] | None = None,
        source: str | None = None,
        before_ms: int | None = None,
        limit: int | None = None,
    ) -> list[Context]:
        """Return contexts, oldest first: all, or those that meet every condition given."""

    def find(self, agent: str, words: Sequence[str], limit: int, source: str | None = None) -> list[int]:
        """Return the ids of contexts that have one of the words at least, best first, of one source or of all."""

    def newest(self, agent: str, limit: int, source: str | None = None) -> list[int]:
        """Return the ids of the latest contexts, newest first, of one source or of all."""

    def use(self, agent: str, ids: Collection[int]) -> None:
        """Count a use of contexts; those that are gone are passed over."""

    def replace(
        self,
        agent: str,
        run: str,
        drafts: Sequence[Context],
        dropped: Mapping[int, str],
        *,
        at_ms: int,
        until_ms: int,
        record: StoredRun | None = None,
    ) -> list[int]:
        """Write contexts and move others into the archive, each with its reason; returns the ids of the written.

        What is kept of the run itself is written in the same step, if it is given.

        Raises:
            MemoryConflictError: one of the dropped is gone; nothing was changed.
        """

    def put_back(self, agent: str, ids: Collection[int]) -> int:
        """Put contexts of the archive back as they stood; returns how many were there."""

    def undo(self, agent: str, run: str, record: StoredRun | None = None) -> int:
        """Take out what a run wrote and put back what it took; returns how many contexts came back.

        A repeat does nothing and returns 0. What it wrote is gone for good, where it was forgotten or left by a bound too.
        What is kept of the run itself is written in the same step, if it is given.

        Raises:
            MemoryConflictError: a later run took out something that this one wrote, or the retention of something ended;
                the error says which run must be undone first.
        """

    def archived(self, agent: str, run: str | None = None, limit: int | None = None) -> list[ArchivedContext]:
        """Return what left the memory, oldest first, of one run or of all."""

    def size(self, agent: str) -> MemorySize:
        """Return how large a memory is."""

    def agents(self) -> list[str]:
        """Return the names of all agents with a memory."""

    def save_run(self, run: StoredRun) -> None:
        """Keep a run, in place of what was kept of it before."""

    def runs(self, agent: str, limit: int = 50) -> list[StoredRun]:
        """Return the runs of an agent, latest first."""

    def index(self, *, rebuild: bool = False) -> bool:
        """Bring the index of words into its best form; returns whether it was damaged, and so built anew."""

    def expire(self, now_ms: int, limit: int) -> int:
        """Delete archived contexts whose retention has ended, at most so many; returns how many."""

    def maintain(self) -> Iterable[str]:
        """Check the database, give room back, and return what is wrong with it, nothing if all is well."""


def gone(id_: int, agent: str) -> MemoryConflictError:
    """Return what a step raises that would take out a context which is no longer there."""
    return MemoryConflictError(f"context {id_} of agent {agent!r} is no longer in its memory")


def require_undoable(run: str, later: str | None, expired_count: int) -> None:
    """Raise ``MemoryConflictError`` unless a run can be undone.

    Args:
        run: its name.
        later: a run that took out something which this one wrote, if there is one.
        expired_count: contexts that it took out and whose retention has ended.
    """
    if later is not None:
        raise MemoryConflictError(f"run {later} took out what run {run} wrote: undo {later} first")
    if expired_count:
        raise MemoryConflictError(
            f"the retention of {expired_count} contexts that run {run} took out has ended: it cannot be undone"
        )


def words_query(words: Sequence[str]) -> str:
    """Return words as a query of FTS5 that any one of them meets; whatever they hold is text, never syntax."""
    return " OR ".join('"' + word.replace('"', '""') + '"' for word in words)


def context_of(row: Sequence[Any]) -> Context:
    """Return a context from its id and ``COLUMNS``."""
    id_, kind, text, author, source, at_ms, used, tokens, subject = row
    return Context(
        id=id_,
        kind=ContextKind(kind),
        text=text if isinstance(text, str) else bytes(text).decode(),
        author=author,
        source=source,
        at_ms=at_ms,
        used_count=used,
        token_count=tokens,
        subject=subject,
    )


def size_of(row: Sequence[Any]) -> MemorySize:
    """Return the size of a memory from count, bytes, tokens, fresh ones, oldest and archived ones, in this order."""
    count, size_bytes, tokens, fresh, oldest_ms, archived = map(int, row)
    return MemorySize(
        count=count,
        bytes=size_bytes,
        token_count=tokens,
        fresh_count=fresh,
        archived_count=archived,
        oldest_at_ms=oldest_ms,
    )


def archived_of(row: Sequence[Any]) -> ArchivedContext:
    """Return an archived context from its id and ``ARCHIVED_COLUMNS``."""
    run, reason, gone_at_ms, until_ms, written_by = row[9:]
    return ArchivedContext(
        context=context_of(row[:9]),
        run=run,
        reason=reason,
        gone_at_ms=gone_at_ms,
        until_ms=until_ms,
        written_by=written_by,
    )


def run_of(row: Sequence[Any]) -> StoredRun:
    """Return a run from run, agent, job, start, state and report, in this order."""
    run, agent, job, started_at_ms, state, report = row
    return StoredRun(run=run, agent=agent, job=job, started_at_ms=started_at_ms, state=state, report=report)
