"""Projects with seeded defects: each stands in a line that ends with ``# seeded: RULE, RULE``."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workers.findings import Finding, Outcome, Unit

FIXTURES = Path(__file__).parents[1] / "fixtures"

_MARK = re.compile(r"# seeded: ([\w, -]+)")

Place = tuple[str, int, str]


def unit_of(root: Path, pattern: str = "*.py") -> Unit:
    """Return the files of a project as one unit."""
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob(pattern) if path.is_file())
    return Unit(root=str(root), files=tuple(files))


def run(task: Any, unit: Unit) -> Outcome:
    """Call a task as its worker would, in this process."""
    outcome = task(unit)
    return Outcome.model_validate(outcome)


def seeds(unit: Unit) -> list[Place]:
    """Return path, line and rule of what is seeded in the files of a unit."""
    return sorted(
        (path, number, rule.strip())
        for path in unit.files
        for number, line in enumerate(Path(unit.root, path).read_text().splitlines(), 1)
        for mark in _MARK.findall(line)
        for rule in mark.split(",")
    )


def places(findings: Iterable[Finding]) -> list[Place]:
    """Return path, line and rule of findings."""
    return sorted((finding.path, finding.line, finding.rule) for finding in findings)
