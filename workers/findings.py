"""What the agents hand back: findings, what could not be read, and facts, as pydantic models."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Severity(StrEnum):
    """How much a finding matters."""

    INFO = "info"  #: a fact worth knowing
    LOW = "low"  #: style, or a small improvement
    MEDIUM = "medium"  #: likely to cost time or money later
    HIGH = "high"  #: a defect
    CRITICAL = "critical"  #: a defect that others can exploit, or that loses data


class Value(BaseModel):
    """A frozen value that is strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Unit(Value):
    """A piece of work: some files of a project.

    Attributes:
        root: absolute path of the project.
        files: paths below the root, with forward slashes; all readable Python files for tools that need the whole.
    """

    root: str
    files: tuple[str, ...]


class Finding(Value):
    """One thing found at one place."""

    agent: str = Field(description="Agent type that found it.")
    tool: str = Field(description="Tool it was found with.")
    rule: str = Field(description="The tool's rule, such as `F401`.")
    severity: Severity
    path: str = Field(description="Path below the project's root, with forward slashes.")
    line: int = Field(0, ge=0, description="Line, from 1; 0: the file as a whole.")
    column: int = Field(0, ge=0, description="Column, from 1; 0: not known.")
    message: str


class Skipped(Value):
    """Something that was not examined, and why."""

    path: str
    reason: str
    agent: str = Field("", description="Agent type that could not; empty: nobody could.")


class Run(Value):
    """When and where a task ran, by its worker's clock.

    Attributes:
        worker: node name of the worker; of the host where there is no worker.
        pid: process that ran it: one slot of the worker.
        started_at_ms: milliseconds since 1970.
        finished_at_ms: milliseconds since 1970.
    """

    worker: str
    pid: int
    started_at_ms: int
    finished_at_ms: int


class Outcome(Value):
    """What one task found in one unit."""

    agent: str
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    facts: dict[str, Any] = Field(default_factory=dict, description="What the agent knows beyond findings, by name.")
    run: Run | None = Field(None, description="When and where; the task's class fills it in.")


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by place, then rule and message: the same list whatever order they were found in."""
    return tuple(sorted(findings, key=lambda item: (item.path, item.line, item.column, item.rule, item.message)))
