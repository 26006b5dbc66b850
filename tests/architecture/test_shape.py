"""The shape of the code: sizes, names of modules, public faces."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "hive").rglob("*.py"), *(ROOT / "workers").rglob("*.py")])
FORBIDDEN = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "base", "core", "tools"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


#: Parsed before any test runs: of two threads that parse at a time Python 3.11 may let one fail, and tracebacks parse, too.
TREES = {path: ast.parse(path.read_text()) for path in SOURCES}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500
    long = [f.name for f in functions(path) if (f.end_lineno or f.lineno) - f.lineno + 1 > 60]
    assert long == []


def test_modules_are_named_by_nouns_of_the_field() -> None:
    assert [named(path) for path in SOURCES if path.stem.strip("_") in FORBIDDEN] == []


def test_the_top_level_is_as_agreed() -> None:
    agreed = {
        "pyproject.toml", "hive", "workers", "tests", "docker-compose.yml", "celeryconfig.py", "README.md",
        "CHANGELOG.md", "Makefile", "benchmarks",
    }  # fmt: skip
    generated = {"hive-report", "dist", "build"}
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - generated - agreed == set()


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name == "__init__.py"], ids=named)
def test_a_package_opens_with_a_design_note_and_shows_only_its_face(path: Path) -> None:
    tree = TREES[path]
    assert ast.get_docstring(tree), "a package opens with its design note"
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
    for node in tree.body:
        assert isinstance(node, allowed), f"line {node.lineno}: only a docstring, imports and __all__"
        if isinstance(node, ast.Assign):
            assert isinstance(node.targets[0], ast.Name)
            assert node.targets[0].id == "__all__"
            exported = ast.literal_eval(node.value)
            imported = {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
            assert set(exported) == imported


def test_only_the_store_imports_redis() -> None:
    offenders = []
    for path in SOURCES:
        inside = path.relative_to(ROOT).parts
        if inside[1] in {"store", "testing"}:
            continue
        for node in ast.walk(TREES[path]):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            offenders += [named(path) for name in names if name.split(".")[0] == "redis"]
    assert offenders == []


def test_inside_hive_nobody_imports_from_a_package_root() -> None:
    packages = {named(p.parent).replace("/", ".") for p in SOURCES if p.name == "__init__.py" and "hive" in p.parts}
    modules = {named(p).removesuffix(".py").replace("/", ".") for p in SOURCES}
    offenders = []
    for path in SOURCES:
        if path.name == "__init__.py" or path.relative_to(ROOT).parts[0] != "hive":
            continue
        offenders += [
            f"{named(path)}:{node.lineno} from {node.module}"
            for node in ast.walk(TREES[path])
            if isinstance(node, ast.ImportFrom)
            and node.module in packages
            and any(f"{node.module}.{alias.name}" not in modules for alias in node.names)
        ]
    assert offenders == []


def test_modules_import_one_another_in_no_circle() -> None:
    graph = grimp.build_graph("hive", "workers", cache_dir=None)
    left = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while outermost := left.keys() - set().union(*left.values()):
        for module in outermost:
            del left[module]
    while innermost := {module for module, imported in left.items() if not imported & left.keys()}:
        for module in innermost:
            del left[module]
    assert sorted(left) == [], "imports within functions count as well: they hide a circle, and do not break it"
