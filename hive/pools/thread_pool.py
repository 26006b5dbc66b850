"""Celery's pool of threads, in which every task ends.

An error that is no ``Exception``, such as the ``CancelledError`` of a loop that a body ran, passes by Celery's tracer, and
stock tells nobody: the task would keep its slot and its lease for as long as the worker lives.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency import thread
from celery.exceptions import WorkerShutdown, WorkerTerminate


class TaskPool(thread.TaskPool):
    """Celery's pool of threads; what passes by its tracer fails the task."""

    def on_apply(self, target: Any, *args: Any, error_callback: Any = None, **options: Any) -> Any:
        """Run a task on a thread as soon as one is free."""
        return super().on_apply(partial(_traced, target, error_callback), *args, **options)


def _traced(target: Callable[..., Any], on_error: Callable[[Any], Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return target(*args, **kwargs)
    except (WorkerShutdown, WorkerTerminate):
        raise
    except BaseException as error:
        on_error(ExceptionInfo())
        # For the future, which nobody looks at: the task has ended, and is not to end once more.
        raise RuntimeError("the task failed past its tracer") from error
