"""What a worker's garbage collector need not look at: all that was there before the first task."""

import gc
import threading
from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks


class Freeze(bootsteps.StartStopStep):
    """Sets aside what is alive when a worker begins to consume.

    Modules, tasks and settings live as long as the process. Left where they are, every full collection looks at some
    hundred thousand of them to find the few that a task left behind: a fifth of a busy worker's time. A worker in a
    thread of somebody's program leaves that program's collector alone.
    """

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Set aside what is alive, at the first connection only."""
        if consumer.restart_count == 0 and threading.current_thread() is threading.main_thread():
            gc.collect()
            gc.freeze()

    def stop(self, consumer: Any) -> None:
        """Do nothing: it stays set aside."""
