"""The scheduler's tasks: a round, which beat fires, and the consolidation of one agent, which a round asks for.

Both run on the queue of tasks without an agent type. What they need is imported when they run first, so that workers
which never run them do not hold it in memory.
"""

from functools import partial
from typing import Any, Final

#: Fired by beat.
REST_TASK: Final = "hive.agents.rest"
#: Asked for by a round.
CONSOLIDATE_TASK: Final = "hive.agents.consolidate"
#: Seconds of beat between two rounds.
EVERY_S: Final = 300.0
#: Seconds one consolidation goes on before the next round takes it up.
LONGEST_S: Final = 240.0


def register(app: Any) -> None:
    """Give an application the scheduler's tasks."""

    @app.task(name=REST_TASK, shared=False)
    def rest() -> dict[str, Any]:
        """Do a round; returns what was done to which agent."""
        report = app.rest.round()
        return {"was_done": report.is_leading, "mode": report.mode.value, "done": dict(report.done or {})}

    @app.task(name=CONSOLIDATE_TASK, shared=False)
    def consolidate(agent: str, dry_run: bool = False) -> dict[str, Any]:
        """Compact what a sleeping agent remembers; returns tokens before and after. A repeat does the rest."""
        return consolidated(app, agent, dry_run=dry_run)


def scheduler_of(app: Any) -> Any:
    """Return the scheduler of an application, with its memories and its task for consolidation."""
    from hive.runtime.consolidating import loose_tokens  # noqa: PLC0415 - few workers ever need it
    from hive.runtime.rest.scheduler import RestScheduler  # noqa: PLC0415 - as above

    def begin(agent: str, dry_run: bool) -> None:
        app.send_task(CONSOLIDATE_TASK, (agent, dry_run), expires=EVERY_S)

    return RestScheduler(app, consolidate=begin, loose_tokens=partial(loose_tokens, app))


def consolidated(app: Any, agent: str, *, dry_run: bool) -> dict[str, Any]:
    """Consolidate an agent as far as the switches still let it; a message wakes it meanwhile, and loses nothing.

    Raises:
        AgentStateError: it does not sleep any more.
        HiveError: the memory cannot be used; what was done stands.
    """
    from hive.consolidation.report import Job  # noqa: PLC0415 - few workers ever consolidate
    from hive.runtime.consolidating import consolidate, for_a_while  # noqa: PLC0415 - as above

    switches, is_over = app.rest.switches, for_a_while(LONGEST_S)

    def stop() -> bool:
        return is_over() or not switches.position().acts_on(agent)

    if dry_run:
        reports = consolidate(app, agent, [Job.CONTEXT_COMPACTION], dry_run=True)
    elif not switches.position().acts_on(agent):
        return {"agent": agent, "held_back_by": "the switches"}
    else:
        with app.agents[agent].consolidating():
            reports = consolidate(app, agent, [Job.CONTEXT_COMPACTION, Job.INDEX_UPDATE], stop=stop)
    return {
        "agent": agent,
        "dry_run": dry_run,
        "tokens_before": sum(report.tokens_before for report in reports),
        "tokens_after": sum(report.tokens_after for report in reports),
    }
