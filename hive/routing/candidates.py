"""What a strategy decides about: the call, the workers it may go to, and the decision."""

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

from hive.agents.types import AgentType, Resources

#: What stands for the rate of a worker that has finished nothing yet, where nobody else's is known either.
UNKNOWN_RATE = 1.0

#: Snapshots for which a caller remembers where it sent a key: until the worker has taken the call and told of it.
REMEMBERED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that is to be routed.

    Attributes:
        task: name of the task.
        kind: of work, such as ``review``; none: any worker is as able as the other.
        domains: fields of knowledge it touches.
        affinity: calls with the same key go to the same worker while it lives; none: it does not matter.
        needs: what it takes of a host; none: as much as any other.
        number: how many calls this process has routed before it.
    """

    task: str = ""
    kind: str | None = None
    domains: frozenset[str] = frozenset()
    affinity: str | None = None
    needs: Resources | None = None
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker as it described itself last.

    Attributes:
        name: its node name, and the name of its lane.
        slots: tasks it runs at a time.
        busy: tasks it runs.
        queued: tasks that wait for one of its slots: in its lane, and those it holds.
        rate: tasks a slot of it finishes in a second of work; none: it has finished nothing yet.
        failed_share: of the tasks it finished lately, 0..1.
        cpu: utilisation of its host's processors, 0..1.
        memory: utilisation of its host's memory, 0..1.
        free_memory_mb: of its host.
        keys: buckets of the keys whose calls it took last (:mod:`hive.routing.keys`).
        load: busy and queued tasks for each slot.
        seed: of its place in the order of each key.
    """

    name: str
    slots: int = 1
    busy: int = 0
    queued: int = 0
    rate: float | None = None
    failed_share: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0
    free_memory_mb: float = float("inf")
    keys: frozenset[int] = frozenset()
    load: float = field(init=False)
    seed: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "load", (self.busy + self.queued) / max(self.slots, 1))
        digest = hashlib.blake2b(self.name.encode(), digest_size=8).digest()
        object.__setattr__(self, "seed", int.from_bytes(digest, "big"))

    def later(self, sent: int, past_s: float) -> Self:
        """Return the worker as it should be after some time in which so many tasks were sent to it."""
        rate = UNKNOWN_RATE if self.rate is None else self.rate
        queued = max(self.queued + sent - int(rate * self.slots * past_s), 0)
        # By hand: dataclasses.replace would take most of a decision's time.
        twin, put = object.__new__(type(self)), object.__setattr__
        for name in _KEPT:
            put(twin, name, getattr(self, name))
        put(twin, "queued", queued)
        put(twin, "load", (self.busy + queued) / max(self.slots, 1))
        return twin


#: What stays with a worker when it is given more to do.
_KEPT = tuple(one.name for one in fields(Worker) if one.name not in {"queued", "load"})


class Pool:
    """The workers of one agent type, as far as their description is fresh.

    Args:
        agent_type: the type.
        workers: its workers.
        taken_s: monotonic seconds at which they were so.
        before: the snapshot before this one, for what was found out and noted then.
    """

    __slots__ = (
        "_busy",
        "_described",
        "_noted",
        "_sent",
        "_taken_s",
        "domains",
        "name",
        "orders",
        "proficiency",
        "queue",
        "workers",
        "worth",
    )

    def __init__(
        self,
        agent_type: AgentType,
        workers: Iterable[Worker] = (),
        taken_s: float = 0.0,
        before: "Pool | None" = None,
    ) -> None:
        self.name = agent_type.name
        self.queue = agent_type.queue
        #: How well the type does each kind, 0..1.
        self.proficiency: Mapping[str, float] = {kind: agent_type.proficiency(kind) for kind in agent_type.kinds}
        self.domains = frozenset(agent_type.domains)
        self.workers = list(workers)
        self._described = {worker.name: (place, worker) for place, worker in enumerate(self.workers)}
        self._sent = dict.fromkeys(self._described, 0)
        self._taken_s = taken_s
        #: What strategies found out about the workers and need not find out again: by bucket of keys the places of
        #: the workers that are first in its order, and the running total of what the workers finish.
        is_same = before is not None and list(before._described) == list(self._described)
        self.orders: dict[int, tuple[int, ...]] = before.orders if before is not None and is_same else {}
        self.worth: list[float] | None = None
        self._busy = sum(min(worker.load, 1.0) for worker in self.workers)
        #: By bucket to whom its keys were sent and how often, the newest snapshot last.
        self._noted: deque[dict[int, dict[str, int]]] = deque(before._noted if before is not None else (), REMEMBERED)
        self._noted.append({})

    def note(self, name: str, now_s: float, bucket: int | None = None) -> None:
        """Count a task that was sent to a worker, until its next description says so itself.

        Args:
            name: of the worker.
            now_s: monotonic seconds; it should have finished something since it was described.
            bucket: of the task's key.
        """
        if name in self._described:
            place, described = self._described[name]
            self._sent[name] += 1
            later = described.later(self._sent[name], now_s - self._taken_s)
            self._busy += min(later.load, 1.0) - min(self.workers[place].load, 1.0)
            self.workers[place] = later
            if bucket is not None:
                noted = self._noted[-1].setdefault(bucket, {})
                noted[name] = noted.get(name, 0) + 1

    @property
    def utilisation(self) -> float:
        """Return the share of its workers' slots that have something to do, 0..1; it has one worker at least."""
        return self._busy / len(self.workers)

    def homes(self, bucket: int) -> list[Worker]:
        """Return the workers that have calls with a key of a bucket, or had them lately."""
        sent = {name for noted in self._noted if bucket in noted for name in noted[bucket]}
        if not sent:
            return [one for one in self.workers if bucket in one.keys]
        return [one for one in self.workers if bucket in one.keys or one.name in sent]

    def sent(self, bucket: int, name: str) -> int:
        """Return how many calls with a key of a bucket were sent to a worker since this snapshot."""
        return self._noted[-1].get(bucket, {}).get(name, 0)

    def match(self, call: Call) -> float:
        """How well its type fits a call, 0..1: its proficiency for the kind, and half of it for the domains it knows."""
        able = 1.0 if call.kind is None else self.proficiency.get(call.kind, 0.0)
        if not call.domains:
            return able
        return able * (0.5 + 0.5 * len(call.domains & self.domains) / len(call.domains))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where a call goes.

    Attributes:
        agent_type: whose pool.
        worker: into whose lane; none: into the shared queue, from which whoever is free takes it.
        strategy: who decided.
        reason: why, for people.
    """

    agent_type: str
    worker: str | None
    strategy: str
    reason: str


def best_pool(call: Call, pools: Sequence[Pool]) -> Pool:
    """Return the pool whose type fits a call best; the first of equals."""
    return pools[0] if len(pools) == 1 else max(pools, key=lambda pool: pool.match(call))
