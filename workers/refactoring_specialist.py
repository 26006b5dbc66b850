"""The refactoring specialist: code that was copied, modules that are hard to maintain, and a patch of safe fixes.

Nothing is ever written to the project: the patch is handed back as text, to be applied with ``git apply -p0`` or
``patch -p0`` at its root.
"""

import re
import tokenize
from collections.abc import Iterator

from ruff import find_ruff_bin

from hive import shared_task
from workers.clones import Clone, find_clones
from workers.findings import Finding, Outcome, Severity, Unit, in_order
from workers.lint import ISOLATED, TARGET_VERSION
from workers.maintainability import maintainability
from workers.source import Reading, Source
from workers.suite import serves_tests
from workers.task import AgentTask
from workers.tool import batches, run

AGENT = "refactoring_specialist"

#: Rules whose safe fixes make up the patch.
FIXED_RULES = ("C4", "F401", "F541", "F632", "FLY", "FURB", "PERF", "PIE", "RET", "RSE", "SIM", "UP")

#: Maintainability index, 0 (worst) to 100, at or below which a module is told of; radon's ranks C and B.
HARD_TO_MAINTAIN = ((9.0, Severity.MEDIUM), (19.0, Severity.LOW))

#: A copy of this many lines is worth more attention than a shorter one.
LONG_CLONE_LINES = 20

_TIMEOUT_S = 240.0


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.refactoring_specialist.review", pydantic=True)
def review(unit: Unit) -> Outcome:
    """Measure how maintainable the files of a unit are, and write a patch of safe fixes for them.

    Args:
        unit: some files of a project.

    Raises:
        ToolFailedError: ruff failed.
        ToolTimeoutError: ruff ran out of time.
    """
    reading = Reading(_python(unit), AGENT)
    found: list[Finding] = []
    indices: dict[str, float] = {}
    fixable: list[str] = []
    for source in reading:
        if reading.is_utf8(source, "ruff"):
            fixable.append(source.path)
        try:
            indices[source.path] = round(maintainability(source.tree, source.text), 1)
        except (SyntaxError, tokenize.TokenError, RecursionError):
            reading.skip(source.path, "its maintainability cannot be measured by radon")
            continue
        found += _maintainability(source, indices[source.path])
    patch = safe_fixes(unit.root, fixable)
    return Outcome(
        agent=AGENT,
        findings=in_order(found),
        skipped=tuple(reading.skipped),
        facts={"maintainability": indices, "patch": patch},
    )


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.refactoring_specialist.duplicates", pydantic=True)
def duplicates(unit: Unit) -> Outcome:
    """Find code that was copied within or across the files of a project.

    Args:
        unit: all Python files of the project.
    """
    reading = Reading(_python(unit), AGENT)
    clones = find_clones({source.path: source.text for source in reading})
    return Outcome(
        agent=AGENT,
        findings=in_order(map(_duplicate, clones)),
        skipped=tuple(reading.skipped),
        facts={"clones": len(clones), "cloned_lines": sum(clone.copy.line_count for clone in clones)},
    )


def safe_fixes(root: str, paths: list[str]) -> str:
    """Return ruff's safe fixes for some files as one patch, without changing them; empty if there is nothing to fix.

    Args:
        root: absolute path of the project.
        paths: files below it.

    Raises:
        ToolFailedError: ruff failed.
        ToolTimeoutError: ruff ran out of time.
    """
    command = (find_ruff_bin(), "check", "--diff", "--quiet", *ISOLATED, "--target-version", TARGET_VERSION)
    rules = ("--select", ",".join(FIXED_RULES))
    patches = (
        run((*command, *rules, "--", *batch), cwd=root, timeout_s=_TIMEOUT_S, good=(0, 1)) for batch in batches(paths)
    )
    return "".join(_in_order(patch) for patch in patches)


def _in_order(patch: str) -> str:
    """Return a patch with its files in order: ruff prints them as its threads finish."""
    return "".join(sorted(re.split(r"^(?=--- .+\n\+\+\+ )", patch, flags=re.MULTILINE)))


def _python(unit: Unit) -> Unit:
    # Stubs repeat their modules' signatures, and have no bodies to measure.
    return unit.model_copy(update={"files": tuple(path for path in unit.files if path.endswith(".py"))})


def _maintainability(source: Source, index: float) -> Iterator[Finding]:
    severity = next((severity for limit, severity in HARD_TO_MAINTAIN if index <= limit), None)
    if severity is not None:
        yield Finding(
            agent=AGENT,
            tool="radon",
            rule="low-maintainability",
            severity=severity,
            path=source.path,
            message=f"the module's maintainability index is {index:g} of 100: split it or simplify its functions",
        )


def _duplicate(clone: Clone) -> Finding:
    original, copy = clone.original, clone.copy
    is_grave = copy.line_count >= LONG_CLONE_LINES and not serves_tests(copy.path)
    return Finding(
        agent=AGENT,
        tool="hive",
        rule="duplicate-code",
        severity=Severity.MEDIUM if is_grave else Severity.LOW,
        path=copy.path,
        line=copy.first,
        message=f"{copy.line_count} lines repeat {original.path}:{original.first}-{original.last}",
    )
