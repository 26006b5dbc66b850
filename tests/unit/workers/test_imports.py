"""The import graph is that of the files in the tree, whatever the layout and whatever is installed."""

import random
from collections.abc import Mapping
from pathlib import Path

import celery
import grimp
import pydantic
import pytest

from tests.support.seeded import places, run, unit_of
from workers.code_architect import FAN_OUT_MAX, review
from workers.findings import Unit
from workers.imports import Tree
from workers.source import Reading

#: Files by path, and the imports that are in them: importer and imported, by path.
LAYOUTS = {
    "flat": (
        {"a.py": "import b\nimport os, c", "b.py": "from c import x", "c.py": "x = 1"},
        {("a.py", "b.py"), ("a.py", "c.py"), ("b.py", "c.py")},
    ),
    "src": (
        {
            "src/shop/__init__.py": "",
            "src/shop/till.py": "from shop import stock",
            "src/shop/stock.py": "",
            "tests/test_till.py": "import shop.till\nfrom support import x",
            "tests/support.py": "x = 1",
            "setup.py": "import shop",
        },
        {
            ("src/shop/till.py", "src/shop/stock.py"),
            ("tests/test_till.py", "src/shop/till.py"),
            ("tests/test_till.py", "tests/support.py"),
            ("setup.py", "src/shop/__init__.py"),
        },
    ),
    "several packages": (
        {"one/__init__.py": "", "one/a.py": "from two.b import f", "two/__init__.py": "", "two/b.py": "import one"},
        {("one/a.py", "two/b.py"), ("two/b.py", "one/__init__.py")},
    ),
    "namespace": (
        {
            "corp/shop/__init__.py": "from corp.mail import send",
            "corp/mail/__init__.py": "",
            "run.py": "import corp.shop",
        },
        {("corp/shop/__init__.py", "corp/mail/__init__.py"), ("run.py", "corp/shop/__init__.py")},
    ),
    "relative": (
        {
            "p/__init__.py": "from .a import x",
            "p/a.py": "from . import b\nfrom .q.c import y",
            "p/b.py": "from .... import far",
            "p/q/__init__.py": "from .. import b, nothing",
            "p/q/c.py": "from ..b import z",
        },
        {
            ("p/__init__.py", "p/a.py"),
            ("p/a.py", "p/b.py"),
            ("p/a.py", "p/q/c.py"),
            ("p/q/__init__.py", "p/b.py"),
            ("p/q/__init__.py", "p/__init__.py"),
            ("p/q/c.py", "p/b.py"),
        },
    ),
    "scripts of one name": (
        {
            "x/main.py": "import tool",
            "x/tool.py": "",
            "y/main.py": "import tool",
            "y/tool.py": "",
            "z.py": "import tool",
        },
        {("x/main.py", "x/tool.py"), ("y/main.py", "y/tool.py")},
    ),
    "a package called like the standard library": (
        {"p/__init__.py": "", "p/json.py": "import json", "p/a.py": "import json, p.json"},
        {("p/a.py", "p/json.py")},
    ),
    "attributes, stars, functions, checkers": (
        {
            "p/__init__.py": "",
            "p/a.py": (
                "from p.b import *\nfrom p.b import value\nimport p.b.value\n"
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.d\nelse:\n    import p.e\n"
                "def f():\n    try:\n        from p import c\n    except ImportError: pass\n"
            ),
            "p/b.py": "value = 1",
            "p/c.py": "",
            "p/d.py": "",
            "p/e.py": "",
        },
        {("p/a.py", "p/b.py"), ("p/a.py", "p/e.py"), ("p/a.py", "p/c.py")},
    ),
}


def write(root: Path, files: Mapping[str, str]) -> Unit:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return unit_of(root)


def edges(unit: Unit) -> set[tuple[str, str]]:
    tree = Tree(unit.root, unit.files)
    reading = Reading(unit, "code_architect")
    return {(item.importer, item.imported) for source in reading for item in tree.imports(source)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_imports_are_found_in_every_layout(layout: str, tmp_path: Path) -> None:
    files, expected = LAYOUTS[layout]
    assert edges(write(tmp_path, files)) == expected


def test_the_order_of_the_files_does_not_matter(tmp_path: Path, rng: random.Random) -> None:
    unit = write(tmp_path, {path: text for files, _ in LAYOUTS.values() for path, text in files.items()})
    shuffled = list(unit.files)
    rng.shuffle(shuffled)
    assert run(review, Unit(root=unit.root, files=tuple(shuffled))).facts == run(review, unit).facts


@pytest.mark.parametrize("package", [celery, pydantic], ids=["celery", "pydantic"])
def test_the_graph_of_an_installed_package_is_grimps(package: object) -> None:
    name = package.__name__
    root = Path(package.__file__).parent
    unit = unit_of(root)
    names = Tree(unit.root, unit.files).names()
    graph = grimp.build_graph(name, exclude_type_checking_imports=True, cache_dir=None)
    expected = {(one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one)}
    assert set(names.values()) == graph.modules
    assert {(names[one], names[other]) for one, other in edges(unit)} == {
        pair for pair in expected if len(set(pair)) > 1
    }


def test_the_reviewed_tree_is_examined_and_not_an_installed_namesake(tmp_path: Path) -> None:
    unit = write(
        tmp_path / "celery",
        {"__init__.py": "", "app.py": "import celery.canvas", "canvas.py": "from celery import app"},
    )
    outcome = run(review, unit)
    assert [fact["module"] for fact in outcome.facts["modules"]] == ["celery", "celery.app", "celery.canvas"]
    assert places(outcome.findings) == [("app.py", 1, "import-cycle")]
    assert outcome.findings[0].message.endswith("celery.app → celery.canvas → celery.app")


def test_a_broken_file_costs_only_itself(tmp_path: Path) -> None:
    unit = write(tmp_path, {"a.py": "import b, c", "b.py": "def (", "c.py": "import a"})
    outcome = run(review, unit)
    assert places(outcome.findings) == [("a.py", 1, "import-cycle")]
    assert [item.path for item in outcome.skipped] == ["b.py"]
    assert outcome.facts["layers"] == [["b"], ["a", "c"]]


def test_two_cycles_that_touch_are_one_and_others_are_apart(tmp_path: Path) -> None:
    unit = write(
        tmp_path,
        {"a.py": "import b", "b.py": "import a, c", "c.py": "import b, d", "d.py": "import e", "e.py": "import d"},
    )
    outcome = run(review, unit)
    assert outcome.facts["cycles"] == [["a", "b", "c"], ["d", "e"]]
    assert outcome.facts["layers"] == [["d", "e"], ["a", "b", "c"]]
    assert outcome.facts["hidden_cycles"] == []


def test_a_layer_stands_one_above_the_highest_it_imports(tmp_path: Path) -> None:
    files = {"a.py": "import b, c", "b.py": "import c, d", "c.py": "import d", "d.py": "", "e.py": "import a, d"}
    assert run(review, write(tmp_path, files)).facts["layers"] == [["d"], ["c"], ["b"], ["a"], ["e"]]


def test_a_module_that_imports_too_many_is_found(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(FAN_OUT_MAX + 1)]
    files = {f"{name}.py": "" for name in names} | {"all.py": "import " + ", ".join(names), "most.py": "import m1, m2"}
    outcome = run(review, write(tmp_path, files))
    assert places(outcome.findings) == [("all.py", 0, "fan-out")]
    assert [fact["fan_out"] for fact in outcome.facts["modules"] if fact["path"] == "most.py"] == [2]
