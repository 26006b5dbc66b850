"""What workers report of what their pool children and tasks used."""

from collections.abc import Iterable, Sequence

from hive.store.caller import Caller
from hive.store.faults import translated

#: How long the last report of a worker is kept, and what tasks of an agent type used.
RECORD_KEPT_MS = 30_000
HISTORY_KEPT_MS = 30 * 24 * 3_600_000


class Use(Caller):
    """Keeps reports of use for all workers of the fleet; all keys share a slot."""

    def _use_key(self, kind: str, name: str = "") -> str:
        return f"{self.layout.prefix}{{hive:use}}:hive:{kind}{':' if name else ''}{name}"

    def report_use(self, worker: str, record: bytes, tasks: Sequence[tuple[str, str]] = ()) -> None:
        """Report once. A repeat counts the tasks twice.

        Args:
            worker: its node name.
            record: what its pool children use at present.
            tasks: for each task that has ended its agent type and what it used, as written by the caller.

        Raises:
            BrokerGoneError: no reply; it may have been kept.
        """
        lists = [self._use_key("type", agent_type) for agent_type, _ in tasks]
        self.call(
            "report_use",
            [self._use_key("workers"), self._use_key("worker", worker), *lists],
            self.now_argument(),
            worker,
            RECORD_KEPT_MS,
            record,
            HISTORY_KEPT_MS,
            *(written for _, written in tasks),
        )

    def worker_uses(self) -> dict[str, bytes]:
        """Return the last report of each worker that has reported lately."""
        with translated("worker_uses"):
            names = [name.decode() for name in self.client.zrange(self._use_key("workers"), 0, -1)]
            if not names:
                return {}
            records = self.client.mget([self._use_key("worker", name) for name in names])
        return {name: record for name, record in zip(names, records, strict=True) if record is not None}

    def task_uses(self, agent_types: Iterable[str]) -> dict[str, list[str]]:
        """Return what the last tasks of each agent type used, newest first, as it was reported."""
        with translated("task_uses"):
            found = {name: self.client.lrange(self._use_key("type", name), 0, -1) for name in agent_types}
        return {name: [written.decode() for written in uses] for name, uses in found.items()}
