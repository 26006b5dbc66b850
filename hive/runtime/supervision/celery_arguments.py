"""The command lines that make Celery run the parts of a hive."""

from collections.abc import Sequence

from hive.agents.builtin import FALLBACK, declared_needs
from hive.agents.types import AgentType
from hive.errors import InputError
from hive.runtime.home import Home

#: Seconds between two events by which a worker tells monitors that it lives.
HEARTBEAT_S = 5

#: Pools that must change Python's blocking calls before anything else is imported.
PATCHING_POOLS = frozenset({"gevent", "eventlet"})

#: Pools that can grow and shrink.
GROWING_POOLS = frozenset({"prefork", "gevent", "asyncio"})


def slots_within(agent: AgentType, wanted: int) -> int:
    """Return ``wanted`` slots, or the nearest number in the type's concurrency range."""
    return min(max(wanted, agent.concurrency.minimum), agent.concurrency.maximum)


def worker_arguments(
    agent: AgentType,
    untyped_queues: Sequence[str],
    *,
    concurrency: int | None = None,
    pool: str | None = None,
    hostname: str | None = None,
    follows_demand: bool = False,
    loglevel: str = "INFO",
    more: Sequence[str] = (),
) -> list[str]:
    """Return ``worker ...`` for a worker of one agent type.

    Args:
        agent: whose queue and slots; its time limits go with its tasks.
        untyped_queues: queues of tasks without an agent type; the fallback type takes them too.
        concurrency: slots; the type's minimum (at least one) if not given.
        pool: Celery's name of the pool; the type's own if not given.
        hostname: node name; ``TYPE@HOST`` if not given.
        follows_demand: whether the slots follow demand within the type's range, if the pool can; ``concurrency`` are then
            those it starts with.
        loglevel: Celery's.
        more: further options of ``celery worker``, which win over ours.

    Raises:
        InputError: ``concurrency`` is outside the type's range.
    """
    bounds = agent.concurrency
    slots = max(1, bounds.minimum) if concurrency is None else concurrency
    if not max(1, bounds.minimum) <= slots <= bounds.maximum:
        raise InputError(
            f"{slots} slots are outside the range of {agent.name}, {max(1, bounds.minimum)} to {bounds.maximum}: "
            f"change agents.{agent.name}.concurrency in hive.toml"
        )
    needs, used_pool = declared_needs(agent), pool or agent.pool
    least, most = max(1, bounds.minimum), bounds.maximum
    is_elastic = follows_demand and used_pool in GROWING_POOLS and least < most
    queues = [agent.queue, *untyped_queues] if agent.name == FALLBACK else [agent.queue]
    return [
        "worker",
        f"--queues={','.join(queues)}",
        f"--hostname={hostname or f'{agent.name}@%h'}",
        f"--pool={used_pool}",
        f"--concurrency={slots}",
        *([f"--autoscale={most},{least}"] if is_elastic else []),
        f"--loglevel={loglevel}",
        # Gossip makes every worker read every other worker's heartbeats, and nothing of hive's needs it.
        "--without-gossip",
        # Monitors take a worker for gone after two of these; Celery's two seconds cost a tenth of an idle worker.
        f"--heartbeat-interval={HEARTBEAT_S}",
        # A child that has more than a slot was declared to need makes place for a new one, after its task.
        *([] if needs is None else [f"--max-memory-per-child={needs.memory_mb * 1024}"]),
        *more,
    ]


def beat_arguments(home: Home, *, loglevel: str = "INFO", more: Sequence[str] = ()) -> list[str]:
    """Return ``beat ...`` with its memory of what was sent below the home.

    Args:
        home: where the schedule file lies.
        loglevel: Celery's.
        more: further options of ``celery beat``, which win over ours.
    """
    return ["beat", f"--schedule={home.schedule}", "--pidfile=", f"--loglevel={loglevel}", *more]


def flower_arguments(port: int, *, address: str = "127.0.0.1", more: Sequence[str] = ()) -> list[str]:
    """Return ``flower ...``; who may enter stands in its environment, never in the list of processes.

    Args:
        port: TCP port.
        address: on which to listen.
        more: further options of Flower, which win over ours.
    """
    return ["flower", f"--address={address}", f"--port={port}", *more]
