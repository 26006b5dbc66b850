"""How a hive stands, asked of its broker, its workers and its supervisor."""

from pydantic import BaseModel, ConfigDict

from hive.errors import BrokerError
from hive.runtime.app import Hive
from hive.runtime.connection import backlogs, broker_facts
from hive.runtime.home import Home
from hive.runtime.loading import embedded_broker
from hive.runtime.supervision.plan import queues_of
from hive.runtime.supervision.state import HiveReport, PartState, read_report

#: Seconds workers have to answer; as long as that is waited only for those that do not.
ANSWER_S = 3.0
UNCOUNTED_ANSWER_S = 1.5


class Value(BaseModel):
    """A frozen part of the status."""

    model_config = ConfigDict(frozen=True)


class BrokerStatus(Value):
    """The broker.

    Attributes:
        address: without password.
        embedded: whether it is hive's own.
        answers: whether it serves us now.
        server: product and version.
        used_memory_bytes: what it holds now.
        problem: why it does not serve, as a sentence.
    """

    address: str
    embedded: bool
    answers: bool
    server: str = ""
    used_memory_bytes: int = 0
    problem: str = ""


class PoolStatus(Value):
    """All workers of one agent type, on whatever host.

    Attributes:
        agent_type: its name.
        queues: which its workers consume.
        workers: node names of those that answer.
        slots: of all of them.
        backlog: ready messages in its queues.
    """

    agent_type: str
    queues: tuple[str, ...]
    workers: tuple[str, ...] = ()
    slots: int = 0
    backlog: int = 0


class HiveStatus(Value):
    """Everything.

    Attributes:
        broker: the broker.
        pools: one for each agent type.
        supervisor: what the supervisor of this home reports; none if none runs.
    """

    broker: BrokerStatus
    pools: tuple[PoolStatus, ...]
    supervisor: HiveReport | None

    @property
    def is_running(self) -> bool:
        """Whether the broker serves and a worker answers."""
        return self.broker.answers and any(pool.workers for pool in self.pools)


def hive_status(app: Hive) -> HiveStatus:
    """Ask everybody how they stand; takes a second or two. Changes nothing."""
    broker, supervisor = _broker(app), read_report(Home(app.settings.home.absolute()))
    pools = tuple(PoolStatus(agent_type=agent.name, queues=queues_of(app, agent)) for agent in app.agent_types.values())
    return HiveStatus(
        broker=broker,
        pools=_asked(app, pools, supervisor) if broker.answers else pools,
        supervisor=supervisor,
    )


def _broker(app: Hive) -> BrokerStatus:
    address = app.connection_for_write().as_uri()
    embedded = embedded_broker(app)
    if embedded is not None and not embedded.is_running():
        return BrokerStatus(address=address, embedded=True, answers=False, problem="hive's own broker is not running")
    try:
        facts = broker_facts(app)
    except BrokerError as exc:
        return BrokerStatus(address=address, embedded=embedded is not None, answers=False, problem=str(exc))
    return BrokerStatus(
        address=address,
        embedded=embedded is not None,
        answers=True,
        server=f"{facts.product} {facts.version}" if facts else "",
        used_memory_bytes=facts.used_memory_bytes if facts else 0,
    )


def _asked(app: Hive, pools: tuple[PoolStatus, ...], supervisor: HiveReport | None) -> tuple[PoolStatus, ...]:
    waiting = backlogs(app, [queue for pool in pools for queue in pool.queues])
    known = sum(part.state is PartState.READY and part.slots > 0 for part in supervisor.parts) if supervisor else 0
    # A busy host may need longer than those get whom nobody has counted.
    consuming = app.control.inspect(timeout=UNCOUNTED_ANSWER_S).active_queues() or {}
    if len(consuming) < known:
        consuming |= app.control.inspect(timeout=ANSWER_S, limit=known).active_queues() or {}
    # With the number of answers known, this question need not wait for its time to pass.
    stats = app.control.inspect(timeout=ANSWER_S, limit=len(consuming)).stats() or {} if consuming else {}
    names = {node: {queue["name"] for queue in queues} for node, queues in consuming.items()}
    return tuple(_filled(pool, waiting, names, stats) for pool in pools)


def _filled(
    pool: PoolStatus,
    waiting: dict[str, int],
    names: dict[str, set[str]],
    stats: dict[str, dict[str, dict[str, int]]],
) -> PoolStatus:
    workers = tuple(sorted(node for node, queues in names.items() if pool.queues[0] in queues))
    return PoolStatus(
        agent_type=pool.agent_type,
        queues=pool.queues,
        workers=workers,
        slots=sum(_slots(stats.get(node, {})) for node in workers),
        backlog=sum(waiting[queue] for queue in pool.queues),
    )


def _slots(told: dict[str, dict[str, int]]) -> int:
    """Return the slots of a worker by its statistics: at present, where they follow demand."""
    return int(told.get("autoscaler", {}).get("current") or told.get("pool", {}).get("max-concurrency", 0))
