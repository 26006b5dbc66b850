"""Consolidation of one agent: its jobs, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hive.clock import Clock, SystemClock
from hive.consolidation.audit import audit, audit_all
from hive.consolidation.context_compaction import ContextCompaction
from hive.consolidation.report import Job, Report, RunState, begun
from hive.consolidation.rules import Rules
from hive.database.memories import MemoryDatabase
from hive.errors import SettingsError
from hive.memory.memory import Memory
from hive.memory.tokens import token_counter
from hive.settings.agent_state import MemorySettings

#: Removes what nobody needs any more from the broker; told when to stop, returns how much of what went.
BrokerCleanup = Callable[[Callable[[], bool]], dict[str, int]]

#: Removes what has been kept long enough of one kind; told when to stop, returns how many went.
Pruning = Callable[[Callable[[], bool]], int]

#: Archived contexts that are deleted in one step.
EXPIRE_BATCH = 1_000

DAY_MS = 86_400_000


class Consolidator:
    """Does the jobs of consolidation; any number of processes may, for the same agent too.

    Args:
        database: where memories are kept.
        settings: of memories.
        rules: how much compaction keeps.
        clean_broker: the job that looks after the broker; without it that job cannot be done.
        prunings: parts of database maintenance, by what the report calls what they removed, such as ``checkpoints_removed``.
        clock: where time comes from.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        settings: MemorySettings,
        *,
        rules: Rules | None = None,
        clean_broker: BrokerCleanup | None = None,
        prunings: Mapping[str, Pruning] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock or SystemClock()
        self._clean_broker = clean_broker
        self._prunings = dict(prunings or {})
        count = token_counter(settings.tokenizer_model)
        self._compaction = ContextCompaction(database, settings, self._clock, count, rules=rules)

    def consolidate(
        self,
        agent: str | None,
        jobs: Sequence[Job] = tuple(Job),
        *,
        stop: Callable[[], bool] = lambda: False,
        dry_run: bool = False,
    ) -> list[Report]:
        """Do jobs in order of priority until all are done or it is told to stop; returns a report for each one begun.

        It may be stopped, killed and repeated at any time: what was done stays done, and a repeat does the rest.

        Args:
            agent: whose memory; it need not sleep, what it works with now is too fresh to be touched. None: of all agents,
                each compacted by itself, all other jobs done once for all.
            jobs: which, in any order.
            stop: asked between steps of all jobs.
            dry_run: whether to change nothing and say what would be done; jobs that have nothing to say are left out.

        Raises:
            DatabaseError: the database cannot be used.
            MemoryConflictError: somebody changes this memory all the time.
            BrokerGoneError: the broker does not answer.
            SettingsError: a job was asked for that this consolidator was not given the means for.
        """
        reports: list[Report] = []
        for job in Job:
            if job not in jobs or (reports and stop()):
                continue
            if job is Job.CONTEXT_COMPACTION:
                for one in self._agents(agent):
                    if not (reports and stop()):
                        reports.append(self._compaction.run(one, stop, dry_run=dry_run))
            elif not dry_run:
                reports.append(self._done(agent, job, stop))
        return reports

    def undo(self, agent: str, run: str) -> int:
        """Undo a run of compaction; see :meth:`hive.consolidation.context_compaction.ContextCompaction.undo`."""
        return self._compaction.undo(agent, run)

    def _agents(self, agent: str | None) -> list[str]:
        """Return whose memories are meant; of all, another is the first each day, should the time not do for the last."""
        if agent is not None:
            return [agent]
        agents = sorted(self._database.agents())
        first = self._clock.wall_ms() // DAY_MS % max(1, len(agents))
        return agents[first:] + agents[:first]

    def _done(self, agent: str | None, job: Job, stop: Callable[[], bool]) -> Report:
        report = begun(agent or "", job, self._clock.wall_ms())
        findings: dict[str, Any]
        match job:
            case Job.INDEX_UPDATE:
                findings = {"index_was_damaged": self._database.index()}
            case Job.BROKER_CLEANUP:
                findings = self._broker(stop)
            case Job.PERFORMANCE_AUDIT:
                findings = (
                    audit_all(self._agents(None), self._database, self._clock, stop)
                    if agent is None
                    else audit(agent, self._database, self._clock)
                )
            case _:
                findings = self._maintenance(self._agents(agent), stop)
        state = RunState.STOPPED if stop() else RunState.DONE
        report = replace(report, state=state, findings=findings)
        self._database.save_run(report.stored())
        return report

    def _broker(self, stop: Callable[[], bool]) -> dict[str, int]:
        if self._clean_broker is None:
            raise SettingsError("cleaning the broker needs an application: use `hive consolidate` or hive's tasks")
        return self._clean_broker(stop)

    def _maintenance(self, agents: Sequence[str], stop: Callable[[], bool]) -> dict[str, Any]:
        memories = (Memory(agent, self._database, settings=self._settings, clock=self._clock) for agent in agents)
        bounded = sum(memory.keep_bounds() for memory in memories if not stop())
        expired, last = 0, EXPIRE_BATCH
        while last == EXPIRE_BATCH and not stop():
            last = self._database.expire(self._clock.wall_ms(), EXPIRE_BATCH)
            expired += last
        return {
            "archived_by_bounds": bounded,
            "originals_deleted": expired,
            **{name: 0 if stop() else prune(stop) for name, prune in self._prunings.items()},
            "damage": [] if stop() else list(self._database.maintain()),
        }
