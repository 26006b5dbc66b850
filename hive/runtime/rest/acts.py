"""What a round does to agents: each act only while the round leads and the switches let it."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from hive.agents.lifecycle import AgentState, AgentStateError
from hive.consolidation.decision import Action, Decision
from hive.consolidation.safety import Move, Verdict
from hive.consolidation.stages import Mode
from hive.errors import HiveError
from hive.runtime.rest.switches import Position, Switches
from hive.store.faults import BrokerGoneError
from hive.store.leadership import Leadership, Term
from hive.store.lifecycles import AgentRecord

logger = logging.getLogger(__name__)

#: Begins the reason with which the scheduler puts an agent to sleep.
OURS = "scheduler: "
NOT_REACHED = "the flag does not reach it"


class Acts:
    """What one round does, and what came of it.

    Args:
        app: the application.
        leadership: of the round.
        term: under which it began.
        switches: read anew before each act.
        position: where they stood when it began.
        consolidate: begins the consolidation of an agent, dry or not; without it none is begun.

    Attributes:
        done: what was done to which agent, or what failed.
        moves: those that were tried, whether they succeeded or not.
        failed: actions that failed, in their order.
    """

    def __init__(
        self,
        app: Any,
        leadership: Leadership,
        term: Term,
        switches: Switches,
        position: Position,
        consolidate: Callable[[str, bool], object] | None,
    ) -> None:
        self._app = app
        self._leadership = leadership
        self._term = term
        self._switches = switches
        self._position = position
        self._consolidate = consolidate
        self.done: dict[str, str] = {}
        self.moves: list[Move] = []
        self.failed: list[Action] = []

    def carry_out(self, verdicts: Iterable[Verdict]) -> None:
        """Do what is permitted, as far as the mode and the flag go.

        Raises:
            BrokerGoneError: no reply; what was done stands.
        """
        permitted = [verdict.decision for verdict in verdicts if verdict.is_permitted]
        if self._position.mode is Mode.VALIDATION:
            self._rehearse(permitted)
        if self._position.mode is not Mode.LIVE:
            return
        for decision in permitted:
            # Read anew before each act, so that a rollback or a stop holds at once.
            if not self._switches.position().acts_on(decision.agent):
                continue
            if not self._holds():
                break
            self._move(decision)

    def release(self, records: Iterable[AgentRecord]) -> None:
        """Wake whom the scheduler put to sleep and may act on no longer.

        Raises:
            BrokerGoneError: no reply; what was done stands.
        """
        for record in records:
            is_ours = record.state is AgentState.SLEEPING and record.reason.startswith(OURS)
            if is_ours and not self._position.acts_on(record.name):
                if self._switches.position().is_stopped or not self._holds():
                    break
                self.done[record.name] = self._try(Action.WAKE, record.name, NOT_REACHED) or Action.WAKE.value

    def _rehearse(self, permitted: Iterable[Decision]) -> None:
        for decision in permitted:
            if decision.action is Action.CONSOLIDATE and self._consolidate:
                self._consolidate(decision.agent, True)
                self.done[decision.agent] = "consolidates dry"

    def _holds(self) -> bool:
        """Extend the lead, and say whether it is this round's still: no two rounds may act at once."""
        term = self._leadership.campaign()
        return term is not None and term.number == self._term.number

    def _move(self, decision: Decision) -> None:
        now_ms, action = self._term.now_ms, decision.action
        failure = self._try(action, decision.agent, decision.reasons[0])
        self.done[decision.agent] = failure or action.value
        self.moves.append(Move(agent=decision.agent, action=action, at_ms=now_ms))
        if failure:
            self.failed.append(action)
        self._switches.note(now_ms, failed=bool(failure))

    def _try(self, action: Action, agent: str, reason: str) -> str:
        """Do one thing to one agent; returns what failed, or nothing. One that somebody else moved is no failure."""
        sleeper = self._app.agents.sleeper
        try:
            if action is Action.SLEEP:
                sleeper.sleep(agent, f"{OURS}{reason}", drain_s=0.0)
            elif action is Action.WAKE:
                sleeper.wake(agent, f"{OURS}{reason}")
            elif self._consolidate:
                self._consolidate(agent, False)
        except AgentStateError as error:
            logger.info("agent %r was moved by somebody else: %s", agent, error)
        except BrokerGoneError:
            raise
        except HiveError as error:
            logger.warning("agent %r: %s failed: %s", agent, action.value, error)
            return str(error)
        return ""
