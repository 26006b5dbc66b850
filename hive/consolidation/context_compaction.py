"""The job that compacts an agent's contexts: in slices, each of them all or nothing."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from hive.clock import Clock
from hive.consolidation.compaction import Compaction, compact
from hive.consolidation.report import OPEN, Job, Report, RunState, begun, report_of
from hive.consolidation.rules import Rules
from hive.database.contexts import COMPACTED, Context, ContextKind
from hive.database.memories import MemoryConflictError, MemoryDatabase
from hive.errors import InputError
from hive.memory.tokens import TokenCounter
from hive.settings.agent_state import MemorySettings

#: Contexts that one slice compacts at most.
SLICE_CONTEXTS = 400

#: Times that a slice is decided anew because somebody changed the memory meanwhile.
CONFLICTS = 5

#: Kinds that wait for compaction.
FRESH = frozenset(ContextKind) - COMPACTED

#: Decides what is kept of fresh contexts beside known ones.
Policy = Callable[[Sequence[Context], Sequence[Context], Rules], Compaction]


class ContextCompaction:
    """Compacts the contexts of an agent that are old enough.

    Killed anywhere, the memory is as before a slice or as after it; the next run takes the same run up. Two at once are safe:
    whoever comes second with a slice finds that it was decided on what is no longer there, and decides again.

    Args:
        database: where memories are kept.
        settings: from which age, and how long originals are kept.
        clock: where time comes from.
        count_tokens: counts the tokens of what is written.
        rules: how much is kept.
        policy: another way to decide, for comparison.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        settings: MemorySettings,
        clock: Clock,
        count_tokens: TokenCounter,
        *,
        rules: Rules | None = None,
        policy: Policy = compact,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._count_tokens = count_tokens
        self._rules = rules or Rules()
        self._policy = policy

    def run(self, agent: str, stop: Callable[[], bool], *, dry_run: bool = False) -> Report:
        """Compact slice after slice until nothing is left or it is told to stop; a repeat goes on.

        Args:
            agent: whose contexts.
            stop: asked before each slice.
            dry_run: whether to write nothing and say what one slice of everything would do.

        Raises:
            DatabaseError: the database cannot be used; what was done so far is done.
            MemoryConflictError: somebody changes this memory all the time.
        """
        report = self._begun(agent)
        before_ms = self._clock.wall_ms() - round(self._settings.compact_after_s * 1000)
        if dry_run:
            fresh = self._fresh(agent, before_ms, None)
            decided, known = self._decided(agent, fresh)
            return replace(self._plus(report, fresh, known, decided), state=RunState.DRY)
        worked = report.restorable_count > 0
        while not stop():
            done = self._slice(report, before_ms)
            if done is None:
                report = replace(report, state=RunState.DONE)
                break
            report, worked = done, True
        else:
            report = replace(report, state=RunState.STOPPED)
        if worked:
            self._database.save_run(report.stored())
        return report

    def undo(self, agent: str, run: str) -> int:
        """Take out what a run wrote and put back what it took out, byte for byte; returns how many came back.

        A repeat does nothing.

        Raises:
            InputError: the agent has no such run.
            MemoryConflictError: a later run builds on it, or its originals were deleted after their retention.
            DatabaseError: the database cannot be used; nothing was changed.
        """
        kept = next((one for one in self._database.runs(agent, limit=10_000) if one.run == run), None)
        if kept is None:
            raise InputError(f"agent {agent!r} has no run {run!r}: `hive consolidate {agent} --runs` lists them")
        undone = replace(report_of(kept), state=RunState.UNDONE)
        return self._database.undo(agent, run, undone.stored())

    def _begun(self, agent: str) -> Report:
        """Return the run that was not finished, or a new one."""
        for kept in self._database.runs(agent):
            if kept.job == Job.CONTEXT_COMPACTION and kept.state in OPEN:
                return replace(report_of(kept), state=RunState.RUNNING)
        return begun(agent, Job.CONTEXT_COMPACTION, self._clock.wall_ms())

    def _slice(self, report: Report, before_ms: int) -> Report | None:
        """Compact one slice; returns the report with it, or nothing if nothing is left."""
        for left in reversed(range(CONFLICTS)):
            fresh = self._fresh(report.agent, before_ms, SLICE_CONTEXTS)
            if not fresh:
                return None
            decided, known = self._decided(report.agent, fresh)
            now_ms = self._clock.wall_ms()
            until_ms = now_ms + round(self._settings.retention_s * 1000)
            after = replace(self._plus(report, fresh, known, decided), restorable_until_ms=until_ms)
            try:
                self._database.replace(
                    report.agent,
                    report.run,
                    decided.drafts,
                    {id_: reason.value for id_, reason in decided.dropped.items()},
                    at_ms=now_ms,
                    until_ms=until_ms,
                    record=after.stored(),
                )
            except MemoryConflictError:
                if not left:
                    raise
            else:
                return after
        return None

    def _fresh(self, agent: str, before_ms: int, limit: int | None) -> list[Context]:
        return self._database.read(agent, kinds=FRESH, before_ms=before_ms, limit=limit)

    def _decided(self, agent: str, fresh: Sequence[Context]) -> tuple[Compaction, Sequence[Context]]:
        known = self._database.read(agent, kinds=COMPACTED)
        decided = self._policy(fresh, known, self._rules)
        drafts = tuple(replace(one, token_count=self._count_tokens(one.text)) for one in decided.drafts)
        return Compaction(drafts=drafts, dropped=decided.dropped), known

    def _plus(self, report: Report, fresh: Sequence[Context], known: Sequence[Context], decided: Compaction) -> Report:
        gone = [one for one in (*fresh, *known) if one.id in decided.dropped]
        return report.plus(
            tokens_before=sum(one.token_count for one in gone),
            tokens_after=sum(one.token_count for one in decided.drafts),
            written_count=len(decided.drafts),
            dropped=Counter(reason.value for reason in decided.dropped.values()),
        )
