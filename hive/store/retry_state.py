"""What the fleet shares about retries: the accounts of budgets, what became of retries, and who waits for a dependency."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hive.resilience.adaptive import CELL_FULL
from hive.resilience.budget import RetryBudget
from hive.resilience.failure import Cell
from hive.store.caller import Caller
from hive.store.faults import translated

#: Milliseconds after which outcomes nobody adds to are forgotten.
OUTCOMES_KEPT_MS = 7 * 86_400_000

#: Retries that one call releases at most, so that the broker stays responsive.
RELEASED_AT_ONCE = 500

#: Milliseconds a probe has to answer after its time before another failed task may probe.
PROBE_GRACE_MS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """When a retry that waits for its dependency is due.

    Attributes:
        is_probe: whether it is the one that tries the dependency.
        due_ms: on the broker's clock; for one that is held, unless it is released before.
    """

    is_probe: bool
    due_ms: int


class RetryState(Caller):
    """Shared state of retries; every key is one dependency's, or one task's and cause's, and expires by itself."""

    def draw_retry(self, account: str, budget: RetryBudget, attempts: int) -> float:
        """Draw a retry from a dependency's account and return the seconds it has to wait.

        Not to be repeated after a lost reply: the retry would be drawn twice (which only makes others wait).

        Args:
            account: whose traffic is counted together.
            budget: its terms; all callers should state the same.
            attempts: first attempts since this process called last.
        """
        wait_ms = self.call(
            "retry_budget",
            [self._retry_key("budget", account)],
            self.now_argument(),
            attempts,
            budget.share,
            budget.min_per_s,
            round(budget.window_s * 1000),
        )
        return int(wait_ms) / 1000

    def learn_retry(self, task: str, cause: str, cell: Cell, *, done: bool) -> None:
        """Count what became of a retry: its task was done, or failed again. A repeat counts it twice."""
        key = self._retry_key("outcomes", f"{task}:{cause}")
        how = "done" if done else "failed"
        self.call("retry_learn", [key], f"{cell[0]}:{cell[1]}", how, CELL_FULL, OUTCOMES_KEPT_MS)

    def retry_outcomes(self, task: str, cause: str) -> dict[str, float]:
        """Return ``i:j:done`` and ``i:j:failed`` with their counts, as ``Outcomes.of`` takes them."""
        with translated("retry_outcomes"):
            counts = self.client.hgetall(self._retry_key("outcomes", f"{task}:{cause}"))
        return {name.decode(): float(count) for name, count in counts.items()}

    def park_retry(
        self, dependency: str, failed_id: str, next_id: str, queue: str, *, probe_s: float, hold_s: float, per_s: float
    ) -> Parked:
        """Say when the next attempt of a failed task is due: as the dependency's probe, or held until it answers.

        Args:
            dependency: who waits together.
            failed_id: message id of the failed attempt; if that was the probe, the next is.
            next_id: message id of the next attempt.
            queue: where that will be scheduled.
            probe_s: seconds until a probe.
            hold_s: seconds until one that nobody releases tries by itself.
            per_s: how many of those try in a second.
        """
        is_probe, due_ms = self.call(
            "retry_park",
            self._gate(dependency),
            self.now_argument(),
            failed_id,
            next_id,
            queue,
            round(probe_s * 1000),
            round(hold_s * 1000),
            round(1e6 / per_s),
            PROBE_GRACE_MS,
        )
        return Parked(is_probe=bool(is_probe), due_ms=int(due_ms))

    def release_retries(self, dependency: str, per_s: float) -> int:
        """Let those that wait for a dependency go on, oldest first, ``per_s`` a second over all callers.

        Safe to repeat and to be called by several. Killed halfway, those it took wait for their own time.

        Returns:
            How many were released.
        """
        released = 0
        while True:
            reply = self.call(
                "retry_release", self._gate(dependency), self.now_argument(), RELEASED_AT_ONCE, round(1e6 / per_s)
            )
            by_queue: dict[str, list[tuple[int, str]]] = defaultdict(list)
            for member, due_ms in zip(reply[::2], reply[1::2], strict=True):
                id_, _, queue = member.decode().partition(" ")
                by_queue[queue].append((int(due_ms), id_))
            released += sum(self.advance_scheduled(queue, times) for queue, times in by_queue.items())
            if len(reply) < 2 * RELEASED_AT_ONCE:
                return released

    def advance_scheduled(self, queue: str, times: Sequence[tuple[int, str]]) -> int:
        """Give scheduled messages other times: due ms and message id of each. Safe to repeat.

        Returns:
            How many were still scheduled.
        """
        arguments = [part for time in times for part in time]
        return int(self.call("retry_advance", self.queue_keys(queue).keys("scheduled", "wake"), *arguments))

    def held_retries(self, dependency: str) -> int:
        """Return how many retries wait for a dependency to answer."""
        with translated("held_retries"):
            return int(self.client.zcard(self._gate(dependency)[1]))

    def _gate(self, dependency: str) -> list[str]:
        return [self._retry_key("gate", dependency), self._retry_key("held", dependency)]

    def _retry_key(self, kind: str, name: str) -> str:
        return f"{self.layout.prefix}{{hive:retry:{name}}}:{kind}"
