"""A review without pools: the same tasks, one after another in this process, with no broker.

Time limits are a pool's, so they do not hold here: a tool that hangs is ended by its own limit only.
"""

from collections.abc import Sequence

from workers.findings import Outcome
from workers.review import one_line
from workers.steps import Course, Ended, State, Step, Watch


def run_serially(steps: Sequence[Step], watch: Watch) -> Course:
    """Run all steps in order; an error costs its step, an interrupt (``KeyboardInterrupt``) the rest."""
    watch.planned(steps)
    ended: list[Ended] = []
    interrupted = False
    for step in steps:
        if interrupted:
            ended.append(Ended(step=step, state=State.REVOKED, reason="the review was stopped before it began"))
            continue
        watch.running({step.agent: 1})
        try:
            ended.append(_run(step))
        except KeyboardInterrupt:
            interrupted = True
            ended.append(Ended(step=step, state=State.REVOKED, reason="the review was stopped while it ran"))
        watch.ended(ended[-1])
    return Course(ended=tuple(ended), interrupted=interrupted)


def _run(step: Step) -> Ended:
    result = step.task.apply((step.unit,), step.arguments, throw=False)
    if not result.successful():
        return Ended(step=step, state=State.FAILED, reason=one_line(result.result))
    outcome = Outcome.model_validate(result.result)
    return Ended(step=step, state=State.DONE, outcome=outcome, run=outcome.run)
