"""How far the scheduler goes: its mode, its flag and the emergency stop, as operators turn them."""

from dataclasses import dataclass

from hive.consolidation.stages import STAGES, GateRules, Mode, Rollout, advanced, blocked, counted, reaches
from hive.errors import InputError
from hive.store.caller import Caller
from hive.store.switchboard import Switchboard

#: Name of the flag: it says in which bucket an agent is.
FLAG = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the switches stand.

    Attributes:
        mode: how far the scheduler goes.
        rollout: where its flag stands.
        is_stopped: somebody pressed the emergency stop.
    """

    mode: Mode
    rollout: Rollout
    is_stopped: bool

    def acts_on(self, agent: str) -> bool:
        """Tell whether the scheduler may act on an agent."""
        return self.mode is Mode.LIVE and not self.is_stopped and reaches(FLAG, self.rollout.stage, agent)


class Switches:
    """The switches of an application's scheduler, on its broker.

    Args:
        store: the broker.
    """

    def __init__(self, store: Caller) -> None:
        self._board = Switchboard(store, FLAG)
        self._rules = GateRules()

    def position(self) -> Position:
        """Return where they stand; before anybody turned one: shadow, stage 0.

        Raises:
            BrokerGoneError: no reply.
        """
        found = self._board.read()
        stage = found.get("stage", "0")
        rollout = Rollout(
            stage=int(stage),
            since_ms=int(found.get("since_ms", 0)),
            moved_count=int(found.get("moved", 0)),
            failed_count=int(found.get("failed", 0)),
            reason=found.get("reason", ""),
        )
        return Position(
            mode=Mode(found.get("mode", Mode.SHADOW)), rollout=rollout, is_stopped=found.get("stopped") == "1"
        )

    def go(self, mode: Mode) -> None:
        """Change the mode. Safe to repeat."""
        self._board.turn({"mode": mode.value})

    def stop(self) -> None:
        """Press the emergency stop: nothing is done any more, by any process. Safe to repeat."""
        self._board.turn({"stopped": 1})

    def release(self) -> None:
        """Release the emergency stop. Safe to repeat."""
        self._board.turn({"stopped": 0})

    def advance(self, now_ms: int, *, anyway: bool = False) -> Rollout:
        """Let the flag reach more agents, and return where it stands then.

        Args:
            now_ms: the time.
            anyway: whether to pass its gate: the time and the moves that a stage needs.

        Raises:
            InputError: its gate is closed, or it reaches all agents.
        """
        before = self.position().rollout
        held = blocked(before, self._rules, now_ms)
        if held and (before.stage == STAGES[-1] or not anyway):
            raise InputError(f"the flag stays at {before.stage} %: {held}")
        return self._stand(advanced(before, now_ms, "advanced by an operator"))

    def roll_back(self, now_ms: int, reason: str = "rolled back by an operator") -> Rollout:
        """Take the flag back to nobody. Safe to repeat."""
        return self._stand(Rollout(stage=0, since_ms=now_ms, reason=reason))

    def note(self, now_ms: int, *, failed: bool) -> Rollout:
        """Count a move at the flag's stage; too many failures take it back. A repeat counts once more."""
        before = self.position().rollout
        after = counted(before, self._rules, now_ms, failed=failed)
        if after.stage != before.stage:
            return self._stand(after)
        self._board.count("moved")
        if failed:
            self._board.count("failed")
        return after

    def _stand(self, rollout: Rollout) -> Rollout:
        self._board.turn(
            {
                "stage": rollout.stage,
                "since_ms": rollout.since_ms,
                "moved": 0,
                "failed": 0,
                "reason": rollout.reason,
            }
        )
        return rollout
