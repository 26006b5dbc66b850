"""The performance optimizer: complexity (radon), loops in loops, idioms that cost time or memory (ruff)."""

import ast
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from radon.visitors import ComplexityVisitor

from hive import shared_task
from workers.findings import Finding, Outcome, Severity, Unit, in_order
from workers.lint import check, findings
from workers.source import Reading, Source
from workers.task import AgentTask

AGENT = "performance_optimizer"

#: Ruff's rules on idioms that cost time or memory.
RULES = ("PERF", "PLC0207", "RUF015", "RUF017")

#: Severity by prefix of the rule, the longest that fits; low where none does.
SEVERITIES = (("RUF017", Severity.MEDIUM), ("invalid-syntax", Severity.HIGH))

#: Cyclomatic complexity (McCabe) above which a function is a hot spot, with the severity.
COMPLEXITY_LIMITS = ((40, Severity.HIGH), (20, Severity.MEDIUM), (10, Severity.LOW))

#: Lines above which a function is long.
FUNCTION_MAX_LINES = 100

#: Loops in one another from which the innermost body is a hot spot.
NESTED_LOOPS = 3

#: Functions named in the facts, the most complex first.
HOT_SPOTS = 10

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function's size.

    Attributes:
        path: file it stands in.
        name: its name, without class.
        line: where it begins.
        lines: how long it is.
        complexity: ways through it (McCabe).
    """

    path: str
    name: str
    line: int
    lines: int
    complexity: int


@shared_task(base=AgentTask, agent_type=AGENT, name="workers.performance_optimizer.review", pydantic=True)
def review(unit: Unit) -> Outcome:
    """Look for what is slow, or slow to understand, in the files of a unit.

    Args:
        unit: some files of a project; the findings of all units together are those of one run over all files.

    Raises:
        ToolFailedError: ruff failed.
        ToolTimeoutError: ruff ran out of time.
    """
    reading = Reading(unit, AGENT)
    found: list[Finding] = []
    functions: list[Function] = []
    paths: list[str] = []
    for source in reading:
        if reading.is_utf8(source, "ruff"):
            paths.append(source.path)
        try:
            functions += _functions(source)
        except RecursionError:
            reading.skip(source.path, "is nested too deeply for radon")
        found += _nested_loops(source)
    found += [finding for function in functions for finding in _size_findings(function)]
    found += findings(AGENT, check(unit.root, paths, RULES), SEVERITIES)
    return Outcome(agent=AGENT, findings=in_order(found), skipped=tuple(reading.skipped), facts=_facts(functions))


def _functions(source: Source) -> Iterator[Function]:
    for node in ast.walk(source.tree):
        if isinstance(node, _FUNCTIONS):
            yield Function(
                path=source.path,
                name=node.name,
                line=node.lineno,
                lines=(node.end_lineno or node.lineno) - node.lineno + 1,
                complexity=ComplexityVisitor.from_ast(node).functions[0].complexity,
            )


def _size_findings(function: Function) -> Iterator[Finding]:
    for limit, severity in COMPLEXITY_LIMITS:
        if function.complexity > limit:
            message = f"{function.name} has a complexity of {function.complexity}, over {limit}"
            yield _finding("radon", "complexity", severity, function.path, function.line, message)
            break
    if function.lines > FUNCTION_MAX_LINES:
        message = f"{function.name} is {function.lines} lines long, over {FUNCTION_MAX_LINES}"
        yield _finding("hive", "long-function", Severity.LOW, function.path, function.line, message)


def _nested_loops(source: Source) -> Iterator[Finding]:
    """Yield each loop that stands in two others; what a function defined in a loop does is its own."""
    waiting: list[tuple[ast.AST, int]] = [(source.tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, _LOOPS):
            depth += 1
            if depth == NESTED_LOOPS:
                message = f"loop in {NESTED_LOOPS - 1} other loops: its body runs once for each combination"
                yield _finding("hive", "nested-loops", Severity.MEDIUM, source.path, node.lineno, message)
        elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            depth = 0
        waiting += [(child, depth) for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)]


def _finding(tool: str, rule: str, severity: Severity, path: str, line: int, message: str) -> Finding:
    return Finding(agent=AGENT, tool=tool, rule=rule, severity=severity, path=path, line=line, message=message)


def _facts(functions: list[Function]) -> dict[str, Any]:
    by_complexity = sorted(functions, key=lambda item: (-item.complexity, item.path, item.line))
    return {
        "functions": len(functions),
        "complexity": sum(function.complexity for function in functions),
        "hot_spots": [asdict(function) for function in by_complexity[:HOT_SPOTS]],
    }
