"""The test engineer: which tests there are, which modules have none, and on request how the tests go."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from hive import shared_task
from workers.findings import Finding, Outcome, Severity, Unit, in_order
from workers.reach import Modules
from workers.source import Reading
from workers.suite import Case, Function, find_cases, is_test_file, serves_tests, shadowed
from workers.task import AgentTask
from workers.trial import Trial, try_tests

AGENT = "test_engineer"

#: Severity of each rule.
SEVERITIES = {
    "empty-test": Severity.MEDIUM,
    "failing-test": Severity.HIGH,
    "low-coverage": Severity.LOW,
    "no-tests": Severity.MEDIUM,
    "shadowed-test": Severity.HIGH,
    "test-error": Severity.MEDIUM,
    "test-without-check": Severity.INFO,
    "untested-module": Severity.LOW,
}

#: Percent of a module's statements below which its coverage is low.
LOW_COVERAGE_PERCENT = 50.0

#: Files that are run by tools, not tested.
_SCRIPTS = {"setup.py", "conf.py", "manage.py", "noxfile.py", "__main__.py"}
_NOT_TESTED = {"migrations", "docs", "doc", "examples", "benchmarks"}


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.test_engineer.survey", pydantic=True)
def survey(unit: Unit, run_tests: bool = False) -> Outcome:
    """Find a project's tests and the modules that have none.

    Args:
        unit: all Python files of the project.
        run_tests: whether to run the tests as well, in a copy, with coverage and under limits; that executes the
            project's code.

    Raises:
        ToolFailedError: the tests could not be run.
        ToolTimeoutError: they ran out of time.
    """
    files = tuple(sorted(path for path in unit.files if path.endswith(".py")))
    reading = Reading(unit.model_copy(update={"files": files}), AGENT)
    trees = {source.path: source.tree for source in reading}
    cases = [case for path in trees if is_test_file(path) for case in find_cases(path, trees[path])]
    untested = _untested(trees, Path(unit.root).name, cases)
    found = [*_case_findings(cases), *_module_findings(trees, untested, cases)]
    facts: dict[str, Any] = {
        "tests": len(cases),
        "tests_by_file": _counts(cases),
        "tests_skipped_or_expected_to_fail": sum(case.is_marked for case in cases),
        "untested_modules": untested,
    }
    if run_tests:
        trial = try_tests(unit.root)
        found += _trial_findings(trial, cases)
        facts["run"] = trial.model_dump(mode="json")
    return Outcome(agent=AGENT, findings=in_order(found), skipped=tuple(reading.skipped), facts=facts)


def _untested(trees: Mapping[str, ast.Module], top: str, cases: list[Case]) -> list[str]:
    """Return the modules with functions that no test uses, nor is named after."""
    modules = Modules(trees, top)
    used = {module for path in trees if serves_tests(path) for module in modules.used_by(path)}
    named = {PurePosixPath(case.path).stem.removeprefix("test_").removesuffix("_test") for case in cases}
    return [
        path
        for path in sorted(trees)
        if path not in used and PurePosixPath(path).stem not in named and _needs_tests(path, trees[path])
    ]


def _needs_tests(path: str, tree: ast.Module) -> bool:
    name = PurePosixPath(path)
    if serves_tests(path) or name.name in _SCRIPTS or not _NOT_TESTED.isdisjoint(name.parts[:-1]):
        return False
    return any(isinstance(node, Function) for node in ast.walk(tree))


def _case_findings(cases: list[Case]) -> Iterator[Finding]:
    for earlier, later in shadowed(cases):
        message = f"{earlier.name} never runs: line {later.line} defines it again"
        yield _finding("shadowed-test", earlier.path, earlier.line, message)
    for case in cases:
        if case.is_empty and not case.is_marked:
            yield _finding("empty-test", case.path, case.line, f"{case.name} does nothing, and passes")
        elif not case.is_empty and not case.checks:
            yield _finding(
                "test-without-check",
                case.path,
                case.line,
                f"{case.name} checks nothing: it passes unless something raises",
            )


def _module_findings(trees: Mapping[str, ast.Module], untested: list[str], cases: list[Case]) -> Iterator[Finding]:
    if not cases:
        # One finding for each module would say the same again and again.
        if untested:
            yield _finding("no-tests", ".", 0, f"the project has no tests; modules with functions: {len(untested)}")
        return
    for path in untested:
        count = sum(isinstance(node, Function) for node in ast.walk(trees[path]))
        yield _finding("untested-module", path, 0, f"no test uses this module; functions in it: {count}")


def _trial_findings(trial: Trial, cases: list[Case]) -> Iterator[Finding]:
    places = {(case.path, case.name.rpartition(".")[2]): case.line for case in cases}
    for failure in trial.failures:
        function = failure.test.rpartition(".")[2].partition("[")[0]
        line = failure.line or places.get((failure.path, function), 0)
        message = f"{failure.test}: {failure.message}"
        # An error is more often a package that is not installed here than a defect of the project.
        rule = "failing-test" if failure.kind == "failure" else "test-error"
        yield _finding(rule, failure.path or ".", line, message, tool="pytest")
    for path, percent in trial.coverage.items():
        # Nothing at all: no test uses it, which is told already, or it runs in a process of its own, unmeasured.
        if 0 < percent < LOW_COVERAGE_PERCENT and not serves_tests(path):
            yield _finding("low-coverage", path, 0, f"the tests run {percent:g} % of its statements", tool="coverage")


def _counts(cases: list[Case]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for case in cases:
        counts[case.path] = counts.get(case.path, 0) + 1
    return counts


def _finding(rule: str, path: str, line: int, message: str, *, tool: str = "hive") -> Finding:
    return Finding(agent=AGENT, tool=tool, rule=rule, severity=SEVERITIES[rule], path=path, line=line, message=message)
