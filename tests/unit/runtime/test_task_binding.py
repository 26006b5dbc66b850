"""A task that several threads use for the first time."""

import threading
from typing import Any

from hive import Hive
from hive.runtime.task import HiveTask


def test_no_thread_sees_a_task_before_it_has_its_settings() -> None:
    app: Any = Hive("binding", broker="memory://", set_as_current=False)
    app.conf.task_ignore_result = True
    begun, go_on = threading.Event(), threading.Event()
    seen = []

    class Slow(HiveTask):
        abstract = True

        @classmethod
        def bind(cls, app: Any) -> Any:
            begun.set()
            go_on.wait(60)
            return super().bind(app)

    @app.task(base=Slow, name="slow", shared=False)
    def slow() -> None:
        """Do nothing."""

    first = threading.Thread(target=lambda: seen.append(slow.ignore_result))
    second = threading.Thread(target=lambda: seen.append(slow.ignore_result))
    first.start()
    assert begun.wait(60)
    second.start()
    second.join(0.5)
    go_on.set()
    first.join()
    second.join()
    assert seen == [True, True]
