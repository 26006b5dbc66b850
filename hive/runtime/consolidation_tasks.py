"""The jobs of consolidation as tasks, each on a queue of its own.

``hive worker general_developer --queues=consolidation.context_compaction`` serves one of them. What a job needs is imported
when it runs first, so that workers which never consolidate do not hold it in memory.

The jobs that keep results, archives and databases from growing for ever are sent by beat
(:func:`hive.runtime.defaults.upkeep_entries`).
"""

from dataclasses import asdict
from typing import Any

from celery import shared_task


def _job(task: Any, agent: str | None, max_s: float) -> dict[str, Any]:
    from hive.consolidation.report import Job  # noqa: PLC0415 - few workers ever consolidate
    from hive.runtime.consolidating import consolidate, for_a_while  # noqa: PLC0415 - as above

    job = Job(task.name.rpartition(".")[2])
    [report] = consolidate(task.app, agent, [job], stop=for_a_while(max_s))
    return asdict(report)


@shared_task(bind=True, name="hive.consolidation.context_compaction", queue="consolidation.context_compaction")
def context_compaction(self: Any, agent: str, max_s: float = 240.0) -> dict[str, Any]:
    """Compact an agent's contexts for some seconds; returns the report of the run, which the next task takes up."""
    return _job(self, agent, max_s)


@shared_task(bind=True, name="hive.consolidation.index_update", queue="consolidation.index_update")
def index_update(self: Any, agent: str | None = None, max_s: float = 240.0) -> dict[str, Any]:
    """Bring the index of words of all memories into its best form; returns the report."""
    return _job(self, agent, max_s)


@shared_task(bind=True, name="hive.consolidation.broker_cleanup", queue="consolidation.broker_cleanup")
def broker_cleanup(self: Any, agent: str | None = None, max_s: float = 240.0) -> dict[str, Any]:
    """Remove results and replies from the broker that have no end and that nobody comes for; returns the report."""
    return _job(self, agent, max_s)


@shared_task(bind=True, name="hive.consolidation.performance_audit", queue="consolidation.performance_audit")
def performance_audit(self: Any, agent: str | None = None, max_s: float = 240.0) -> dict[str, Any]:
    """Measure an agent's memory, or all; returns the report, with advice."""
    return _job(self, agent, max_s)


@shared_task(bind=True, name="hive.consolidation.database_maintenance", queue="consolidation.database_maintenance")
def database_maintenance(self: Any, agent: str | None = None, max_s: float = 240.0) -> dict[str, Any]:
    """Keep the bounds, delete what has been kept long enough, checkpoints too, check the database; returns the report."""
    return _job(self, agent, max_s)
