"""An application that keeps its tasks to itself."""

from typing import Any

from hive import Hive


class OwnHive(Hive):
    """A :class:`hive.Hive` whose tasks are not shared with the other applications of the process.

    Celery hands a task that is declared with ``@app.task`` to every application that is made later. A module that a test
    imports anew would declare them once more for all the tests that follow.
    """

    def task(self, *args: Any, **options: Any) -> Any:
        """Declare a task of this application alone."""
        return super().task(*args, **{"shared": False, **options})
