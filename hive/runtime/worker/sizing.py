"""The worker's part for sizes: it starts and stops what makes its pool follow demand, and has it look when it is asked to."""

from typing import Any

from celery import bootsteps
from celery.worker.control import control_command

#: The remote control command by which `hive scale` has workers look at once.
LOOK = "hive_look_at_size"


@control_command(name=LOOK)
def look(state: Any) -> dict[str, str]:
    """Have the size of this worker's pool decided anew."""
    scaler: Any = getattr(state.consumer.controller, "autoscaler", None)
    if not hasattr(scaler, "begin"):
        return {"ok": "the pool has a fixed size"}
    scaler.maybe_scale()
    return {"ok": "looking"}


class Sizing(bootsteps.StartStopStep):
    """Lets the pool follow demand from the first connection until the worker begins to stop; only with ``--autoscale``."""

    requires = ("hive.runtime.worker.consuming:Delivery",)

    def start(self, consumer: Any) -> None:
        """Start; at a later connection it runs already."""
        scaler: Any = getattr(consumer.controller, "autoscaler", None)
        # A class of the user's own knows nothing of this.
        if hasattr(scaler, "begin"):
            scaler.begin(consumer)

    def stop(self, consumer: Any) -> None:
        """Do nothing: the size is kept over a lost connection."""

    def close(self, consumer: Any) -> None:
        """Keep the size from now on: the worker begins to stop."""
        scaler: Any = getattr(consumer.controller, "autoscaler", None)
        if hasattr(scaler, "end"):
            scaler.end()

    def terminate(self, consumer: Any) -> None:
        """As at :meth:`close`. A repeat does nothing."""
        self.close(consumer)

    def shutdown(self, consumer: Any) -> None:
        """As at :meth:`close`. A repeat does nothing."""
        self.close(consumer)
