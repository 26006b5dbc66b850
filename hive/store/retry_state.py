"""What the fleet shares about retries: the accounts of budgets, what became of retries, and who waits for a dependency."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
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

#: Seconds' worth of released retries that may be out and not begun. Workers that were held up begin that many at once,
#: beside those of the pace: one and a half times the pace in any second.
RELEASE_AHEAD_S = 0.5

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

    def release_retries(self, dependency: str, per_s: float, *, begun: int = 0, answered: bool = True) -> int:
        """Let those that wait for a dependency go on, oldest first, ``per_s`` a second over all callers.

        Only half a second's worth is out at a time: call it again when some of them have begun. To be called by several.
        Repeated after a lost reply it counts ``begun`` twice, which lets the next go a little sooner. Killed halfway,
        those it took wait for their own time. What was just parked and is not on the broker yet stays for the next call.

        Args:
            dependency: who waits together.
            per_s: the pace.
            begun: released ones that have begun since the caller's last call.
            answered: whether the dependency has answered; if not, nothing goes while somebody probes it.

        Returns:
            How many were released.
        """
        released, early = 0, dict[bytes, int]()
        ahead = max(round(per_s * RELEASE_AHEAD_S), 1)
        while True:
            reply = self.call(
                "retry_release",
                self._gate(dependency),
                self.now_argument(),
                RELEASED_AT_ONCE,
                round(1e6 / per_s),
                ahead,
                begun,
                int(answered),
            )
            begun = 0
            by_queue: dict[str, list[tuple[bytes, int, int]]] = defaultdict(list)
            for member, due_ms, hold_ms in zip(reply[::3], reply[1::3], reply[2::3], strict=True):
                by_queue[member.partition(b" ")[2].decode()].append((member, int(due_ms), int(hold_ms)))
            for queue, taken in by_queue.items():
                times = [(due_ms, member.partition(b" ")[0].decode()) for member, due_ms, _ in taken]
                moved = self.advance_scheduled(queue, times)
                released += sum(moved)
                early |= {member: hold_ms for (member, _, hold_ms), was in zip(taken, moved, strict=True) if not was}
            if len(reply) < 3 * RELEASED_AT_ONCE:
                self._hold_again(dependency, early)
                return released

    def _hold_again(self, dependency: str, members: Mapping[bytes, int]) -> None:
        if members:
            gate, held = self._gate(dependency)
            with translated("retry_release"), self.client.pipeline() as pipeline:
                pipeline.zadd(held, members, nx=True)
                pipeline.pexpireat(held, max(members.values()) + PROBE_GRACE_MS)
                pipeline.hincrby(gate, "out", -len(members))
                pipeline.execute()

    def advance_scheduled(self, queue: str, times: Sequence[tuple[int, str]]) -> tuple[bool, ...]:
        """Give scheduled messages other times: due ms and message id of each. Safe to repeat.

        Returns:
            For each whether it was scheduled.
        """
        arguments = [part for time in times for part in time]
        reply = self.call("retry_advance", self.queue_keys(queue).keys("scheduled", "wake"), *arguments)
        return tuple(map(bool, reply))

    def held_retries(self, dependency: str) -> int:
        """Return how many retries wait for a dependency to answer."""
        with translated("held_retries"):
            return int(self.client.zcard(self._gate(dependency)[1]))

    def _gate(self, dependency: str) -> list[str]:
        return [self._retry_key("gate", dependency), self._retry_key("held", dependency)]

    def _retry_key(self, kind: str, name: str) -> str:
        return f"{self.layout.prefix}{{hive:retry:{name}}}:{kind}"
