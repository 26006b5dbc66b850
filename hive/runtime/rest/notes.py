"""What rounds of the scheduler hand on to the next, as the leader's notes keep it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hive.consolidation.decision import Action
from hive.consolidation.safety import Move, Verdict
from hive.runtime.rest.past import Past

#: Decisions that are kept for people.
LOG_COUNT = 200
#: Begins the name of the note about an agent.
PAST = "past:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What rounds hand on to the next.

    Attributes:
        pasts: what is known of each agent.
        moves: of the scheduler, of late, oldest first.
        failures_ms: when something failed, by breaker, rising.
        judged: foretellings that are over, by what was said and whether it came true.
        log: the latest decisions, for people.
        round_ms: when the last round was, milliseconds since 1970; 0: never.
    """

    pasts: dict[str, Past]
    moves: tuple[Move, ...]
    failures_ms: dict[str, list[int]]
    judged: dict[str, int]
    log: list[dict[str, Any]]
    round_ms: int

    @classmethod
    def read(cls, notes: Mapping[str, bytes]) -> "Notes":
        """Return what is written in notes of a leader; nothing is known where there are none."""

        def of(name: str, otherwise: Any) -> Any:
            return json.loads(notes[name]) if name in notes else otherwise

        moves = (Move(agent=agent, action=Action(action), at_ms=at_ms) for agent, action, at_ms in of("moves", []))
        return cls(
            pasts={
                name.removeprefix(PAST): Past.read(text.decode())
                for name, text in notes.items()
                if name.startswith(PAST)
            },
            moves=tuple(moves),
            failures_ms=of("failures", {}),
            judged=of("judged", {}),
            log=of("log", []),
            round_ms=of("round_ms", 0),
        )

    def written(self) -> dict[str, str]:
        """Return the notes to write."""
        return {
            **{f"{PAST}{agent}": past.written() for agent, past in self.pasts.items()},
            "moves": json.dumps([[move.agent, move.action.value, move.at_ms] for move in self.moves]),
            "failures": json.dumps(self.failures_ms),
            "judged": json.dumps(self.judged),
            "log": json.dumps(self.log[-LOG_COUNT:]),
            "round_ms": json.dumps(self.round_ms),
        }


def line_of(verdict: Verdict, at_ms: int, done: Mapping[str, str]) -> dict[str, Any]:
    """Return a decision as the log has it.

    Args:
        verdict: on it.
        at_ms: when, milliseconds since 1970.
        done: what was done to which agent in that round.
    """
    decision = verdict.decision
    return {
        "at_ms": at_ms,
        "agent": decision.agent,
        "action": decision.action.value,
        "benefit": round(decision.benefit, 3),
        "confidence": round(decision.confidence, 3),
        "reasons": list(decision.reasons),
        "held_back_by": verdict.reason,
        "done": done.get(decision.agent, ""),
    }
