"""What scalers go by and what they leave on the broker: how much waits, who asked for which size, what was decided.

What leaders decide is recorded under their term: in the step that would record it a term that has ended is refused, and
what is not recorded is not carried out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hive.store.caller import Caller
from hive.store.faults import translated
from hive.store.leadership import leader_key

#: What the scalers of a fleet campaign for.
SCALING: Final = "scaling"

#: Decisions that are kept of each agent type, and for how long.
HISTORY_COUNT = 100
HISTORY_KEPT_MS = 7 * 24 * 3_600_000

#: Minutes of which arrivals are kept.
ARRIVALS_KEPT_MIN = 7 * 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDemand:
    """What waits in a queue.

    Attributes:
        queue: its name.
        waiting: messages that may run now: ready, behind for their key's turn, due though not promoted yet, suspects.
            Those in lanes are told by :meth:`hive.store.lanes.Lanes.lanes`.
        consumers: whose lease goes on.
        held: messages in flight, whether they run or wait for a slot; those of dead consumers until they are returned.
        oldest_wait_s: how long the oldest of those has waited, as far as it is known.
    """

    queue: str
    waiting: int
    consumers: int
    held: int
    oldest_wait_s: float


class Scaling(Caller):
    """Figures, overrides and decisions of scalers; all keys but those of queues share a slot."""

    def demand(self, queues: Sequence[str]) -> tuple[QueueDemand, ...]:
        """Return what waits in queues, in one round trip; nothing is changed.

        Raises:
            BrokerGoneError: no reply.
        """
        keys: list[str] = []
        for queue in queues:
            names = self.queue_keys(queue)
            own = [names.key("scheduled"), names.key("fair"), names.key("fair", "messages")]
            keys += [*own, names.key("suspects"), names.key("consumers"), names.key("inflight:"), *names.ready]
        reply = self.call("read_demand", keys, self.now_argument(), len(self.layout.priority_steps))
        return tuple(
            QueueDemand(
                queue=queue, waiting=waiting, consumers=consumers, held=held, oldest_wait_s=max(wait_ms, 0) / 1000
            )
            for queue, (waiting, consumers, held, wait_ms) in zip(queues, reply, strict=True)
        )

    def _scaling_key(self, *parts: str) -> str:
        return self.layout.shared(f"hive:lead:{SCALING}", *parts)

    def record_scaling(self, agent_type: str, decision: str, *, term: int | None, changed: bool) -> bool:
        """Record what was decided for an agent type. A repeat stands in the history twice.

        Args:
            agent_type: its name.
            decision: as the scaler writes it.
            term: of the leader who decided for the whole type; None: a worker did, for itself.
            changed: whether it changes anything, which is what the history keeps.

        Returns:
            False: the term has ended, another leads, and the decision must not be carried out.

        Raises:
            BrokerGoneError: no reply; it may have been recorded.
        """
        written = self.call(
            "record_scaling",
            [leader_key(self, SCALING), self._scaling_key("sizes"), self._scaling_key("history", agent_type)],
            "" if term is None else term,
            "" if term is None else agent_type,
            decision,
            int(changed),
            HISTORY_COUNT,
            HISTORY_KEPT_MS,
        )
        return bool(written)

    def scaling_sizes(self) -> dict[str, bytes]:
        """Return the last decision of a leader for each agent type, as it was written."""
        with translated("scaling_sizes"):
            return {name.decode(): value for name, value in self.client.hgetall(self._scaling_key("sizes")).items()}

    def scaling_history(self, agent_type: str, count: int = HISTORY_COUNT) -> list[bytes]:
        """Return the last changes that were decided for an agent type, newest first, as they were written."""
        with translated("scaling_history"):
            return list(self.client.lrange(self._scaling_key("history", agent_type), 0, count - 1))

    def note_arrivals(self, minute: int, counts: Mapping[str, int]) -> None:
        """Keep how many messages came for agent types in a minute, for a week. A repeat keeps the greater number.

        Args:
            minute: since 1970.
            counts: by agent type.
        """
        with translated("note_arrivals"), self.client.pipeline(transaction=False) as pipeline:
            for name, count in counts.items():
                key = self._scaling_key("arrivals", name)
                pipeline.zadd(key, {f"{minute}:{count}": minute})
                pipeline.zremrangebyscore(key, "-inf", minute - ARRIVALS_KEPT_MIN)
                pipeline.expire(key, ARRIVALS_KEPT_MIN * 60)
            pipeline.execute()

    def arrivals(self, agent_type: str, since_minute: int) -> dict[int, int]:
        """Return how many messages came for an agent type in each minute that was kept, oldest first."""
        with translated("arrivals"):
            kept = self.client.zrangebyscore(self._scaling_key("arrivals", agent_type), since_minute, "+inf")
        found: dict[int, int] = {}
        for minute, _, count in (member.decode().partition(":") for member in kept):
            found[int(minute)] = max(int(count), found.get(int(minute), 0))
        return found

    def override_size(self, agent_type: str, slots: int | None) -> None:
        """Have an agent type keep a number of slots whatever the demand; None: it follows demand again. Safe to repeat."""
        with translated("override_size"):
            if slots is None:
                self.client.hdel(self._scaling_key("overrides"), agent_type)
            else:
                self.client.hset(self._scaling_key("overrides"), agent_type, str(slots))

    def own_demand(self, queues: Sequence[str], worker: str, agent_type: str) -> tuple[int, int | None]:
        """Return how many messages wait in a worker's lanes of queues, and the slots asked for of its agent type.

        None: nobody asked. In one round trip; nothing is changed.
        """
        with translated("own_demand"), self.client.pipeline(transaction=False) as pipeline:
            pipeline.hget(self._scaling_key("overrides"), agent_type)
            for queue in queues:
                for key in self.queue_keys(queue).lane(worker):
                    pipeline.llen(key)
            asked, *lengths = pipeline.execute()
        return sum(lengths), None if asked is None else int(asked)

    def size_overrides(self, agent_types: Iterable[str]) -> dict[str, int]:
        """Return the slots that were asked for of those agent types of which somebody has asked some."""
        wanted = list(agent_types)
        if not wanted:
            return {}
        with translated("size_overrides"):
            asked = self.client.hmget(self._scaling_key("overrides"), wanted)
        return {name: int(slots) for name, slots in zip(wanted, asked, strict=True) if slots is not None}
