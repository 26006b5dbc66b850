"""What a run of consolidation did."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from hive.database.memories import StoredRun


class Job(StrEnum):
    """The jobs of consolidation, in order of priority; the tasks of each are on the queue ``consolidation.<job>``."""

    CONTEXT_COMPACTION = "context_compaction"
    INDEX_UPDATE = "index_update"
    BROKER_CLEANUP = "broker_cleanup"
    PERFORMANCE_AUDIT = "performance_audit"
    DATABASE_MAINTENANCE = "database_maintenance"


class RunState(StrEnum):
    """How far a run has come."""

    #: It goes on, or was killed: whoever consolidates next takes it up.
    RUNNING = "running"
    #: It was told to stop; whoever consolidates next takes it up.
    STOPPED = "stopped"
    #: It has done all there was.
    DONE = "done"
    #: What it wrote is out again, and what it took out is back.
    UNDONE = "undone"
    #: It only said what it would do.
    DRY = "dry"


#: States in which there is more to do.
OPEN = frozenset({RunState.RUNNING, RunState.STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A run of one job for one agent.

    Attributes:
        run: its name; ``hive consolidate AGENT --undo RUN`` takes it.
        agent: whose memory; empty: those of all agents.
        job: what was done.
        started_at_ms: when.
        state: how far it came.
        tokens_before: of the contexts that it read and took out.
        tokens_after: of the contexts that it wrote.
        written_count: contexts that it wrote.
        dropped: contexts that it took out, counted by reason; all of them can be restored.
        restorable_until_ms: until when, 0 if it took nothing out.
        findings: what else it has to say, by name.
    """

    run: str
    agent: str
    job: Job
    started_at_ms: int
    state: RunState = RunState.RUNNING
    tokens_before: int = 0
    tokens_after: int = 0
    written_count: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    restorable_until_ms: int = 0
    findings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def restorable_count(self) -> int:
        """Contexts that it took out; undoing the run brings back all of them that it had not written itself."""
        return sum(self.dropped.values())

    def plus(
        self, *, tokens_before: int, tokens_after: int, written_count: int, dropped: Mapping[str, int]
    ) -> "Report":
        """Return the report with a further slice of work in it."""
        return replace(
            self,
            tokens_before=self.tokens_before + tokens_before,
            tokens_after=self.tokens_after + tokens_after,
            written_count=self.written_count + written_count,
            dropped={
                reason: self.dropped.get(reason, 0) + dropped.get(reason, 0)
                for reason in sorted({*self.dropped, *dropped})
            },
        )

    def stored(self) -> StoredRun:
        """Return it as it is kept."""
        values = {**asdict(self), "dropped": dict(self.dropped)}
        return StoredRun(
            run=self.run,
            agent=self.agent,
            job=self.job.value,
            started_at_ms=self.started_at_ms,
            state=self.state.value,
            report=json.dumps(values),
        )


def begun(agent: str, job: Job, now_ms: int) -> Report:
    """Return the report of a run that begins now, under a name that no other has.

    Args:
        agent: whose memory; empty: all.
        job: to be done.
        now_ms: milliseconds since 1970.
    """
    return Report(run=f"{now_ms}-{secrets.token_hex(4)}", agent=agent, job=job, started_at_ms=now_ms)


def report_of(stored: StoredRun) -> Report:
    """Return the report of a run that was kept."""
    values = json.loads(stored.report)
    return Report(**{**values, "job": Job(values["job"]), "state": RunState(values["state"])})
