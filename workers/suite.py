"""A project's tests as its source tells them: what pytest and unittest would collect, without running anything."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

#: Directories whose Python files are tests or serve them.
TEST_DIRECTORIES = frozenset({"test", "tests", "testing", "testsuite", "t"})

#: Names that say a call checks something.
_CHECK = re.compile(
    r"assert|raises|warns|fail|expect|check|verify|should|must|match|approx|snapshot|approve|eq_|ok_", re.IGNORECASE
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test function.

    Attributes:
        path: its file.
        line: where it starts, from 1.
        name: its name, with the classes around it.
        body: the function itself.
        checkers: functions of the same file that check something.
    """

    path: str
    line: int
    name: str
    body: Function
    checkers: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether it does nothing at all."""
        return all(isinstance(node, ast.Pass) or _is_constant(node) for node in self.body.body)

    @property
    def is_marked(self) -> bool:
        """Whether it is skipped or expected to fail, by a decorator."""
        names = [name for node in self.body.decorator_list for name in _names(node)]
        return any(name.startswith(("skip", "xfail", "expectedFailure")) for name in names)

    @property
    def checks(self) -> bool:
        """Whether anything in it can fail on purpose, itself or in a function of its file that it calls."""
        called = {
            _names(node.func)[-1] for node in ast.walk(self.body) if isinstance(node, ast.Call) and _names(node.func)
        }
        return _checks(self.body) or not called.isdisjoint(self.checkers)


def is_test_file(path: str) -> bool:
    """Whether pytest would collect a file, by its name; ``tests.py`` counts too, as Django has it."""
    name = PurePosixPath(path).name
    return name.startswith("test_") or name.endswith("_test.py") or name == "tests.py"


def serves_tests(path: str) -> bool:
    """Whether a file is a test or lies with the tests."""
    parts = PurePosixPath(path).parts
    return is_test_file(path) or parts[-1] == "conftest.py" or not TEST_DIRECTORIES.isdisjoint(parts[:-1])


def find_cases(path: str, tree: ast.Module) -> Iterator[Case]:
    """Yield the tests of a test file, in the order they are written."""
    checkers = frozenset(node.name for node in ast.walk(tree) if isinstance(node, Function) and _checks(node))
    for case in _cases(path, "", tree.body):
        yield replace(case, checkers=checkers)


def shadowed(cases: Iterable[Case]) -> Iterator[tuple[Case, Case]]:
    """Yield each test that a later one of the same name replaces, with the later one."""
    last: dict[tuple[str, str], Case] = {}
    for case in cases:
        earlier = last.get((case.path, case.name))
        if earlier is not None and not _is_conditional(earlier, case):
            yield earlier, case
        last[case.path, case.name] = case


def _cases(path: str, prefix: str, body: list[ast.stmt]) -> Iterator[Case]:
    for node in body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield Case(path=path, line=node.lineno, name=f"{prefix}{node.name}", body=node)
        elif isinstance(node, ast.ClassDef) and _holds_tests(node):
            yield from _cases(path, f"{prefix}{node.name}.", node.body)


def _holds_tests(node: ast.ClassDef) -> bool:
    is_unittest = any(name.endswith("TestCase") for base in node.bases for name in _names(base))
    has_init = any(isinstance(child, Function) and child.name == "__init__" for child in node.body)
    # Pytest's default is `Test`; projects that set `python_classes` mostly set it to `test_*`.
    return is_unittest or (node.name.startswith(("Test", "test")) and not has_init)


def _checks(function: Function) -> bool:
    """Whether a function holds an assert, a raise, or a call named like a check."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        if isinstance(node, ast.Call) and any(_CHECK.search(name) for name in _names(node.func)):
            return True
    return False


def _is_conditional(earlier: Case, later: Case) -> bool:
    """Whether decorators tie the two together, as for singledispatch and properties."""
    name = later.body.name
    return any(name in _names(node) for node in later.body.decorator_list) or bool(
        earlier.body.decorator_list and any("overload" in _names(node) for node in earlier.body.decorator_list)
    )


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names(node: ast.AST) -> list[str]:
    """Return the identifiers of a dotted name or a call of one, outermost last."""
    if isinstance(node, ast.Call):
        return _names(node.func)
    if isinstance(node, ast.Attribute):
        return [*_names(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else []
