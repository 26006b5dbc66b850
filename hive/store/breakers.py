"""Circuit breakers on the broker: one for each dependency, shared by all processes, on the broker's clock.

What the scripts do is what :class:`hive.resilience.breaker.BreakerMachine` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hive.resilience.breaker import FOR_EVER, BreakerState, BreakerView, CallOutcome, part_ms
from hive.settings.parts import BreakerSettings
from hive.store.caller import Caller
from hive.store.faults import translated


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """What a process has to report of its calls.

    Attributes:
        generation: in which they began; 0: not known.
        answered: calls that were answered.
        failed: calls that failed.
        refused: calls that were not made because the breaker said no.
        probes: tokens of the probes it holds, which are kept for it.
    """

    generation: int = 0
    answered: int = 0
    failed: int = 0
    refused: int = 0
    probes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRecord:
    """All that the broker knows of a breaker.

    Attributes:
        name: the dependency.
        view: where it stands.
        calls: in its window.
        failed: of those.
        probes_out: probes that have not ended.
        probes_answered: in this half-open time.
        answered_total: calls ever answered.
        failed_total: calls ever failed.
        refused_total: calls not made.
        opened_total: times it opened.
        probes_total: probes given out.
        lost_probes_total: probes whose holder died.
    """

    name: str
    view: BreakerView
    calls: int
    failed: int
    probes_out: int
    probes_answered: int
    answered_total: int
    failed_total: int
    refused_total: int
    opened_total: int
    probes_total: int
    lost_probes_total: int


class Breakers(Caller):
    """The steps of a breaker; every one may be repeated, but a report counts its calls again."""

    def breaker_report(self, name: str, rules: BreakerSettings, counts: CallCounts) -> BreakerView:
        """Count calls that ended since the last report, keep probes, and learn where the breaker stands.

        Raises:
            BrokerGoneError: no reply; the calls may have been counted.
        """
        return self._step(
            "breaker_report",
            [*self._breaker_keys(name), self._names_key],
            name,
            counts.generation,
            counts.answered,
            counts.failed,
            counts.refused,
            part_ms(rules),
            rules.min_calls,
            rules.failure_rate,
            rules.failure_count,
            round(rules.open_s * 1000),
            round(rules.probe_lease_s * 1000),
            *counts.probes,
        )

    def breaker_probe(self, name: str, rules: BreakerSettings, token: str) -> BreakerView:
        """Ask for a probe, and learn where the breaker stands. A repeat with the same token is granted again.

        Raises:
            BrokerGoneError: no reply; a probe that was granted is free again after its lease.
        """
        lease_ms = round(rules.probe_lease_s * 1000)
        return self._step("breaker_probe", self._breaker_keys(name), token, lease_ms, rules.probes)

    def breaker_settle(self, name: str, rules: BreakerSettings, token: str, outcome: CallOutcome) -> BreakerView:
        """End a probe. A repeat, or one whose lease was given to another, changes nothing.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        open_ms = round(rules.open_s * 1000)
        return self._step("breaker_settle", self._breaker_keys(name), token, outcome.value, rules.probes, open_ms)

    def breaker_force(self, name: str, state: BreakerState, for_s: float | None = None) -> BreakerView:
        """Open or close a breaker for an operator.

        Args:
            name: the dependency.
            state: open or closed.
            for_s: seconds until it may be probed; ``None``: it stays open until it is closed likewise.

        Raises:
            BrokerGoneError: no reply; repeat it.
        """
        for_ms = FOR_EVER if for_s is None else round(for_s * 1000)
        keys = [*self._breaker_keys(name), self._names_key]
        return self._step("breaker_force", keys, name, int(state), for_ms)

    def breaker_names(self) -> list[str]:
        """Return the names of all breakers that were ever used, in order.

        Raises:
            BrokerGoneError: no reply.
        """
        with translated("breaker names"):
            return sorted(name.decode() for name in self.client.smembers(self._names_key))

    def breaker(self, name: str) -> BreakerRecord | None:
        """Return all that is known of a breaker; ``None``: nothing, or nothing any more after a week without use.

        Raises:
            BrokerGoneError: no reply.
        """
        reply = self.call("breaker_read", self._breaker_keys(name), self.now_argument())
        if not reply:
            return None
        fields = ("calls", "failed", "probes_out", "probes_answered", "answered_total", "failed_total")
        more = ("refused_total", "opened_total", "probes_total", "lost_probes_total")
        known = dict(zip((*fields, *more), map(int, reply[5:]), strict=True))
        return BreakerRecord(name=name, view=_view(reply), **known)

    def _step(self, script: str, keys: list[str], *arguments: Any) -> BreakerView:
        return _view(self.call(script, keys, self.now_argument(), *arguments))

    def _breaker_keys(self, name: str) -> list[str]:
        return [self.layout.shared("breakers", kind, name) for kind in ("breaker", "window", "probes")]

    @property
    def _names_key(self) -> str:
        return self.layout.shared("breakers", "names")


def _view(reply: Sequence[Any]) -> BreakerView:
    state, generation, until_ms, now_ms, granted = map(int, reply[:5])
    return BreakerView(
        state=BreakerState(state), generation=generation, until_ms=until_ms, now_ms=now_ms, granted=bool(granted)
    )
