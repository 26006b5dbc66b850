"""The report of a review as a value: what ``report.json`` holds.

Its schema is ``Report.model_json_schema()``; ``version`` grows with every change that a reader of an earlier one would
stumble over. Two reviews of the same tree with the same tools have equal findings, skipped files and facts, in the same
order, whatever ran where.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from workers.findings import Finding, Run, Severity, Skipped, Value
from workers.project import Project, SourceFile
from workers.steps import Course, Ended, State

#: Severities, worst first.
WORST_FIRST = tuple(reversed(Severity))


class Examined(Value):
    """One step of the review: a task with a unit."""

    agent: str = Field(description="Agent type whose pool it was for.")
    task: str = Field(description="Name of the Celery task.")
    files: int = Field(description="Files in its unit.")
    state: State
    reason: str = Field("", description="Why it is not done; empty if it is.")
    findings: int = Field(0, description="Findings it reported.")
    run: Run | None = Field(None, description="When and where it ran, as far as known.")


class Left(Value):
    """A file that was not examined, or not by all."""

    path: str
    reason: str
    agents: tuple[str, ...] = Field(description="Agent types that could not examine it; empty: nobody could.")


class Report(Value):
    """Everything a review found."""

    format: Literal["hive-review"] = "hive-review"
    version: Literal[1] = 1
    project: str = Field(description="Name of the reviewed directory.")
    root: str = Field(description="Its absolute path.")
    mode: Literal["pools", "serial"] = Field(description="Whether pools ran it, or one process one unit after another.")
    started_at: datetime
    wall_s: float = Field(description="Seconds from the first step's dispatch to the last one's end.")
    startup_s: float = Field(description="Seconds it took to find, or start, a hive; not part of wall_s.")
    complete: bool = Field(description="Whether every step was done.")
    interrupted: bool = Field(description="Whether somebody stopped it.")
    files: tuple[SourceFile, ...] = Field(description="The Python files, by path.")
    excluded: dict[str, int] = Field(description="Names of directories left out, each with how many there were.")
    findings: tuple[Finding, ...] = Field(description="By path, line, column, agent, tool, rule and message.")
    skipped: tuple[Left, ...] = Field(description="By path and reason.")
    steps: tuple[Examined, ...] = Field(description="In the order of the plan.")
    facts: dict[str, dict[str, Any]] = Field(description="What agents know beyond findings, by agent type and name.")

    @property
    def lacking(self) -> tuple[Examined, ...]:
        """The steps that were not done."""
        return tuple(step for step in self.steps if step.state is not State.DONE)

    def by_severity(self, agent: str | None = None) -> dict[Severity, int]:
        """Return how many findings there are of each severity, worst first, of one agent type or of all."""
        counts = Counter(item.severity for item in self.findings if agent in {None, item.agent})
        return {severity: counts[severity] for severity in WORST_FIRST}

    @property
    def agents(self) -> tuple[str, ...]:
        """Agent types that took part, by name."""
        return tuple(sorted({step.agent for step in self.steps}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How all steps went, and how long it took.

    Attributes:
        course: the steps.
        started_at_ms: when the first was sent, in milliseconds since 1970.
        wall_s: seconds from then to the end of the last.
        startup_s: seconds that finding or starting a hive took before.
    """

    course: Course
    started_at_ms: int
    wall_s: float
    startup_s: float = 0.0


def assemble(project: Project, timed: Timed, *, mode: Literal["pools", "serial"]) -> Report:
    """Return the report of a review.

    Args:
        project: what was reviewed.
        timed: how its steps went.
        mode: whether pools ran them.
    """
    course = timed.course
    outcomes = [ended.outcome for ended in course.ended if ended.outcome]
    findings = [item for outcome in outcomes for item in outcome.findings]
    skipped = [*project.skipped, *(item for outcome in outcomes for item in outcome.skipped)]
    return Report(
        project=project.name,
        root=project.root,
        mode=mode,
        started_at=datetime.fromtimestamp(timed.started_at_ms / 1000, UTC),
        wall_s=round(timed.wall_s, 3),
        startup_s=round(timed.startup_s, 3),
        complete=all(ended.state is State.DONE for ended in course.ended),
        interrupted=course.interrupted,
        files=project.python,
        excluded=project.excluded,
        findings=tuple(sorted(findings, key=_place)),
        skipped=_left(skipped),
        steps=tuple(_examined(ended) for ended in course.ended),
        facts=_facts(course.ended),
    )


def write_json(report: Report, directory: Path) -> Path:
    """Write ``report.json`` below ``directory`` and return its path; what was there before is replaced.

    Raises:
        OSError: it cannot be written.
    """
    path = directory / "report.json"
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path


def merged(first: Any, second: Any) -> Any:
    """Return one fact for what two units of an agent said under the same name.

    Tables are merged by key, lists joined, numbers added, texts put below each other; anything else that differs becomes
    a list of both.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        shared = {key: merged(first[key], second[key]) for key in first.keys() & second.keys()}
        return dict(sorted((first | second | shared).items()))
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    if _is_number(first) and _is_number(second):
        return first + second
    if isinstance(first, str) and isinstance(second, str) and "\n" in first + second:
        return first + second
    return first if first == second else [first, second]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _facts(ended: Sequence[Ended]) -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = {}
    for item in ended:
        if item.outcome and item.outcome.facts:
            known = facts.get(item.step.agent)
            facts[item.step.agent] = merged(known, item.outcome.facts) if known else item.outcome.facts
    return facts


def _place(item: Finding) -> tuple[str, int, int, str, str, str, str]:
    return (item.path, item.line, item.column, item.agent, item.tool, item.rule, item.message)


def _left(skipped: Iterable[Skipped]) -> tuple[Left, ...]:
    agents: dict[tuple[str, str], set[str]] = {}
    for item in skipped:
        agents.setdefault((item.path, item.reason), set()).add(item.agent)
    return tuple(
        Left(path=path, reason=reason, agents=() if "" in who else tuple(sorted(who)))
        for (path, reason), who in sorted(agents.items())
    )


def _examined(ended: Ended) -> Examined:
    return Examined(
        agent=ended.step.agent,
        task=ended.step.task.name,
        files=len(ended.step.unit.files),
        state=ended.state,
        reason=ended.reason,
        findings=len(ended.outcome.findings) if ended.outcome else 0,
        run=ended.run,
    )
