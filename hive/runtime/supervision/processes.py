"""Several worker processes of one agent type on one machine: ``hive worker TYPE --processes N``.

An event loop uses one processor core, and a task that computes keeps its whole process waiting; more processes use
more cores, and share nothing. Each is a worker of its own, with its own name, lease and lifespan; one that ends unasked
is started again.
"""

import signal
from collections.abc import Mapping, Sequence
from importlib import import_module

from hive.clock import Clock, SystemClock
from hive.runtime.app import Hive
from hive.runtime.home import Home
from hive.runtime.supervision.crew import Crew
from hive.runtime.supervision.inbox import Inbox
from hive.runtime.supervision.part_plan import PartPlan
from hive.runtime.supervision.supervisor import SHARED_MODULES

#: Longest seconds between two looks at what sends no signal.
LOOK_EVERY_S = 1.0
#: Seconds a worker may take after its grace period, and after SIGQUIT.
QUIT_S = 5.0


class Processes:
    """Runs worker processes until it is told to stop, and leaves none behind.

    SIGTERM, SIGINT and SIGHUP stop all of them warmly; each further signal goes one step on, to SIGQUIT and SIGKILL.

    Args:
        app: the application, imported.
        app_path: where from.
        workers: Celery's arguments of each worker, by its name.
        clock: for pauses and grace.
    """

    def __init__(
        self, app: Hive, app_path: str, workers: Mapping[str, Sequence[str]], clock: Clock | None = None
    ) -> None:
        self._app = app
        self._clock = clock or SystemClock()
        self._stops_asked = 0
        self._inbox = Inbox(self.stop)
        self._crew = Crew(app, app_path, self._inbox, self._clock)
        self._plans = [PartPlan(name=name, arguments=tuple(arguments)) for name, arguments in workers.items()]

    def run(self) -> None:
        """Start all; return once it was told to stop and all have ended."""
        Home(self._app.settings.home.absolute()).prepare()
        for name in SHARED_MODULES:
            # Imported before the fork, their memory is there once.
            import_module(name)
        with self._inbox:
            self._crew.plan(self._plans)
            try:
                while not self._stops_asked:
                    self._crew.start_due()
                    self._inbox.wait(min(LOOK_EVERY_S, self._crew.next_due_s()))
                    self._crew.collect()
            finally:
                self._end()

    def stop(self) -> None:
        """Ask for the stop; each repeat goes one step on."""
        self._stops_asked += 1

    def _end(self) -> None:
        steps = [
            (signal.SIGTERM, self._app.settings.worker.grace_s + QUIT_S),
            (signal.SIGQUIT, QUIT_S),
            (signal.SIGKILL, float("inf")),
        ]
        for asked, (number, patience_s) in enumerate(steps, start=1):
            self._crew.tell(number)
            deadline_s = self._clock.monotonic_s() + patience_s
            while self._crew.is_alive and self._clock.monotonic_s() < deadline_s and self._stops_asked <= asked:
                self._inbox.wait(0.2)
                self._crew.collect()
        self._crew.close()
