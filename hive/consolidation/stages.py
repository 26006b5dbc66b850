"""Staged flags: how much of a fleet a new behaviour reaches, and when it goes on or back. Pure.

An agent is in the same bucket in every process and on every host: it is a hash of the flag's name and its own.
"""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

#: Shares of the agents in percent, in their order.
STAGES = (0, 1, 10, 25, 50, 100)
DAY_MS = 86_400_000


class Mode(StrEnum):
    """How far the scheduler goes."""

    SHADOW = "shadow"
    """It decides and records, and does nothing."""
    VALIDATION = "validation"
    """It also consolidates dry; nobody is put to sleep."""
    LIVE = "live"
    """It acts on the agents that its flag reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """When a flag may go on, and when it goes back by itself.

    Attributes:
        stage_ms: least time at a stage.
        last_stage_ms: least time at the stage before all.
        samples_count: least number of moves at a stage.
        failed_share: of the moves at a stage, at which it goes back once ``samples_count`` moves were made.
        sudden_share: of the moves at a stage, at which it goes back once ``sudden_count`` moves were made.
        sudden_count: that number.
    """

    stage_ms: int = DAY_MS
    last_stage_ms: int = 7 * DAY_MS
    samples_count: int = 100
    failed_share: float = 0.05
    sudden_share: float = 0.1
    sudden_count: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Where a flag stands.

    Attributes:
        stage: percent of the agents that it reaches.
        since_ms: when it came there, milliseconds since 1970.
        moved_count: moves made at this stage.
        failed_count: of them, those that failed.
        reason: why it came there.
    """

    stage: int = 0
    since_ms: int = 0
    moved_count: int = 0
    failed_count: int = 0
    reason: str = ""


def bucket(flag: str, agent: str) -> int:
    """Return the bucket of an agent for a flag, 0..99."""
    return int.from_bytes(hashlib.sha256(f"{flag}\0{agent}".encode()).digest()[:8], "big") % 100


def reaches(flag: str, stage: int, agent: str) -> bool:
    """Tell whether a flag at a stage (percent) reaches an agent; one reached stays so at every later stage."""
    return bucket(flag, agent) < stage


def blocked(rollout: Rollout, rules: GateRules, now_ms: int) -> str:
    """Return why a flag may not go on to its next stage yet; empty: it may."""
    least_ms = rules.last_stage_ms if rollout.stage == STAGES[-2] else rules.stage_ms
    if rollout.stage == STAGES[-1]:
        return "it reaches all agents"
    if rollout.stage == 0:
        return ""
    if now_ms - rollout.since_ms < least_ms:
        return f"it has been there for {(now_ms - rollout.since_ms) / 3_600_000:.1f} h of {least_ms / 3_600_000:.0f} h"
    if rollout.moved_count < rules.samples_count:
        return f"{rollout.moved_count} of {rules.samples_count} moves were made"
    return ""


def advanced(rollout: Rollout, now_ms: int, reason: str) -> Rollout:
    """Return the flag at its next stage; the last one stays."""
    place = min(STAGES.index(rollout.stage) + 1, len(STAGES) - 1)
    return Rollout(stage=STAGES[place], since_ms=now_ms, reason=reason)


def counted(rollout: Rollout, rules: GateRules, now_ms: int, *, failed: bool) -> Rollout:
    """Return the flag after one more move; at stage 0, with the reason, if too many have failed."""
    after = replace(
        rollout, moved_count=rollout.moved_count + 1, failed_count=rollout.failed_count + (1 if failed else 0)
    )
    share = after.failed_count / after.moved_count
    is_sudden = after.moved_count >= rules.sudden_count and share > rules.sudden_share
    is_lasting = after.moved_count >= rules.samples_count and share > rules.failed_share
    if rollout.stage and (is_sudden or is_lasting):
        told = f"rolled back by itself: {after.failed_count} of {after.moved_count} moves failed at {rollout.stage} %"
        return Rollout(stage=0, since_ms=now_ms, reason=told)
    return after
