"""The dependencies that an application's tasks declare, and the breakers of their process."""

from collections.abc import Sequence
from typing import Any

from celery import bootsteps

from hive.guards.breaker import BreakerGuard
from hive.guards.circuit import BreakerStatus
from hive.guards.circuits import Circuits
from hive.guards.guard import Guard
from hive.telemetry.events import BreakerTurned, fields_of


def circuits_of(app: Any) -> Circuits:
    """Return the breakers of a process of the application; the broker is reached on first use."""
    return Circuits(lambda: app.access.store, app.settings.breaker_rules)


def breaker_guards(app: Any, task: Any) -> Sequence[Guard]:
    """Return the guards of the dependencies that a task declares with ``breaker=``."""
    declared = getattr(task, "breaker", None) or ()
    names = (declared,) if isinstance(declared, str) else tuple(declared)
    return [BreakerGuard(name, app.circuits) for name in names]


class BreakerWatch(bootsteps.StartStopStep):
    """Tells of breakers that turn, on Celery's event stream, and reports a last time when the worker ends."""

    requires = ("hive.runtime.worker.consuming:Delivery",)

    def start(self, consumer: Any) -> None:
        """Tell from now on; at a later connection by its own dispatcher."""

        def tell(name: str, status: BreakerStatus) -> None:
            dispatcher = consumer.event_dispatcher
            if dispatcher is not None and dispatcher.enabled:
                event = BreakerTurned(breaker=name, state=status.state.word, source=status.source)
                dispatcher.send(event.name, **fields_of(event))

        consumer.app.circuits.on_turn = tell

    def stop(self, consumer: Any) -> None:
        """Do nothing: breakers are kept over a lost connection."""

    def shutdown(self, consumer: Any) -> None:
        """Report what was counted. A repeat does nothing."""
        consumer.app.circuits.stop()
