"""The class of the agents' tasks."""

import os
from typing import Any

from celery import states
from celery.exceptions import Ignore

from hive import HiveTask, SystemClock

#: Header of a task that belongs to a review, with an id under which it is told that the review was stopped.
REVIEW = "hive_review"


class AgentTask(HiveTask):
    """A task that returns an :class:`~workers.findings.Outcome` and says in it when and where it ran.

    Use it as ``@shared_task(base=AgentTask, pydantic=True, ...)``. The times travel in the result, so that a review
    knows them whatever result backend there is and whether or not events are on.
    """

    abstract = True
    # A review shows what runs, and names the worker of a task that never returned.
    track_started = True
    # A tool that kills its process would kill the next one too: it costs its unit at once. (A worker that is lost as a
    # whole is another matter: its lease ends, and its tasks go to the next.)
    reject_on_worker_lost = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the body; called by the worker, by ``apply`` and by whoever calls the task as a function.

        Raises:
            Ignore: the review that it belongs to was stopped; what it left in a queue costs the next one nothing.
        """
        review = getattr(self.request, REVIEW, None)
        if review is not None and self.AsyncResult(review).state == states.REVOKED:
            raise Ignore("its review was stopped")
        clock = SystemClock()
        started_at_ms = clock.wall_ms()
        outcome = self.run(*args, **kwargs)
        run = {
            "worker": str(self.request.hostname or ""),
            "pid": os.getpid(),
            "started_at_ms": started_at_ms,
            "finished_at_ms": clock.wall_ms(),
        }
        # Celery has turned the model into what JSON can carry by now.
        return {**outcome, "run": run}
