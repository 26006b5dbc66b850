"""What one part of a hive is to run."""

from dataclasses import dataclass

#: The first word of what runs the scaler of whole workers.
SCALER = "autoscale"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """One part of a hive, before it runs.

    Attributes:
        name: an agent type, ``beat``, ``flower`` or the scaler.
        arguments: Celery's, as :mod:`hive.runtime.supervision.celery_arguments` builds them; the scaler's begin with :data:`SCALER`.
        slots: of a pool.
        queues: which a pool consumes.
        environ: further variables of its process.
        port: on which it answers once it serves, where it cannot say so itself.
    """

    name: str
    arguments: tuple[str, ...]
    slots: int = 0
    queues: tuple[str, ...] = ()
    environ: tuple[tuple[str, str], ...] = ()
    port: int | None = None
