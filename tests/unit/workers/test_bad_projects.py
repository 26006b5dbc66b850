"""Whatever a project holds, the agents that look at it as a whole go on, list what they could not read, and leave it alone."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.seeded import FIXTURES, places, run, unit_of
from workers import documentation_writer, domain_expert, general_developer, refactoring_specialist, test_engineer
from workers.findings import Unit
from workers.source import SIZE_MAX_BYTES

TASKS = (
    documentation_writer.review,
    domain_expert.survey,
    general_developer.survey,
    refactoring_specialist.duplicates,
    refactoring_specialist.review,
    test_engineer.survey,
)

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)

#: Whether the interpreter reads the newest syntax there is.
READS_NEWEST = sys.version_info >= (3, 14)

#: Python that nobody can read, beside what is no file.
PYTHON = {
    "broken.py": b"def (:\n",
    "nul.py": b"x = 1\0\n",
    "bytes.py": b"x = '\xff'\n",
    "deep.py": b"x = " + b"(" * 500 + b")" * 500,
    "huge.py": b"x = 1\n" * (SIZE_MAX_BYTES // 6 + 1),
    **({} if READS_NEWEST else {"newer.py": b"try:\n    pass\nexcept A, B:\n    pass\nx = t'{y}'\n"}),
}

#: Documents and data that nobody can read.
DOCUMENTS = {"latin.md": b"# M\xfcller\n", "nul.rst": b"\0", "huge.txt": b"x" * (SIZE_MAX_BYTES + 1)}
DATA = {"latin.toml": b"a = '\xfc'\n", "nul.json": b"\0"}

#: What must not end the process or hang it.
NESTED = {
    "deep.json": b"[" * 200_000,
    "deep.yaml": b"[" * 200_000,
    "deeper.yml": b"- " * 5_000 + b"a",
    "deep.toml": b"a = " + b"[" * 100_000,
    "aliases.yaml": b"a: &a [x, x]\n"
    + b"".join(b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 121)),
}

#: Python that parses, but not in every tool.
ODD = {
    "chain.py": "x = " + " + ".join(["1"] * 900) + "\n",
    "elif.py": "if x == 0:\n    pass\n" + "".join(f"elif x == {n}:\n    pass\n" for n in range(1, 900)),
    "empty.py": "",
    "latin.py": "# coding: latin-1\nNAME = 'Müller'\n",
}

NAMES = ("with space.py", "🐝 ünï.py", "-rf.py", "--config=x.py", "new\nline.py", "*[a].py", "@args.py")


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("HIVE_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def bad_project(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    root = tmp_path_factory.mktemp("bad project 🐝")
    for name, content in {**PYTHON, **DOCUMENTS, **DATA, **NESTED}.items():
        (root / name).write_bytes(content)
    for name, text in ODD.items():
        (root / name).write_text(text, encoding="latin-1")
    for name in ("directory.py", "directory.md"):
        (root / name).mkdir()
    for name in ("pipe.py", "pipe.json"):
        os.mkfifo(root / name)
    (root / "loop.py").symlink_to("loop.py")
    return Unit(root=str(root), files=tuple(sorted([*os.listdir(root), "gone.py", "gone.md", "gone.toml"])))


@each_task
def test_every_agent_lists_what_it_could_not_read_and_examines_the_rest(task: Any, bad_project: Unit) -> None:
    outcome = run(task, bad_project)
    expected = {*PYTHON, "directory.py", "gone.py", "loop.py", "pipe.py"}
    if task is domain_expert.survey:
        expected |= {*DOCUMENTS, "directory.md", "gone.md"}
    if task is general_developer.survey:
        expected |= {*DOCUMENTS, *DATA, "directory.md", "gone.md", "gone.toml", "pipe.json"}
    listed = {item.path: item.reason for item in outcome.skipped}
    assert set(listed) - set(ODD) == expected
    if not READS_NEWEST:
        assert listed["newer.py"].startswith("needs a newer Python than")
    assert {item.agent for item in outcome.skipped} == {outcome.agent}


def test_nests_end_in_a_finding_and_not_in_the_process(bad_project: Unit) -> None:
    found = [place for place in places(run(general_developer.survey, bad_project).findings) if place[0] in NESTED]
    assert found == [
        ("deep.json", 0, "invalid-json"),
        ("deep.toml", 0, "invalid-toml"),
        ("deep.yaml", 1, "invalid-yaml"),
        ("deeper.yml", 1, "invalid-yaml"),
    ]


def test_what_the_odd_ones_hold_is_still_looked_at(bad_project: Unit) -> None:
    outcome = run(refactoring_specialist.review, bad_project)
    assert set(outcome.facts["maintainability"]) >= {"empty.py", "latin.py"}
    assert [item.reason for item in outcome.skipped if item.path == "latin.py"] == [
        "is written in iso-8859-1: ruff reads UTF-8 only"
    ]
    documented = run(documentation_writer.review, bad_project)
    assert set(documented.facts["api"]) >= {"empty.py", "latin.py", "chain.py"}
    assert [item.reason for item in documented.skipped if item.path == "elif.py"] == [
        "is nested too deeply for its API to be outlined"
    ]


@each_task
def test_unusual_names_are_names(task: Any, tmp_path: Path) -> None:
    text = (FIXTURES / "refactoring_specialist" / "seeded" / "shop" / "orders.py").read_text()
    for name in NAMES:
        (tmp_path / name).write_text(text.replace("# seeded: duplicate-code", "") + "\n# TODO: more\n")
    outcome = run(task, unit_of(tmp_path))
    assert outcome.skipped == ()
    told = {
        path for path, _, rule in places(outcome.findings) if rule in {"todo", "undocumented-parameter", "no-tests"}
    }
    if task is general_developer.survey:
        assert told == set(NAMES)
    if task is refactoring_specialist.review:
        assert outcome.facts["patch"].count("\n+++ ") == len(NAMES)
    if task is refactoring_specialist.duplicates:
        assert len(outcome.findings) == len(NAMES) - 1


@each_task
def test_an_empty_unit_has_no_findings(task: Any, tmp_path: Path) -> None:
    assert run(task, Unit(root=str(tmp_path), files=())).findings == ()


@each_task
def test_a_project_is_not_configured_executed_nor_written_to(task: Any, tmp_path: Path) -> None:
    root = tmp_path / "project"
    for path in (FIXTURES / task.agent_type / "seeded").rglob("*.py"):
        copy = root / path.relative_to(FIXTURES / task.agent_type / "seeded")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    expected = places(run(task, unit_of(root)).findings)
    unit = unit_of(root)
    (root / "ruff.toml").write_text('exclude = ["*.py"]\n')
    (root / ".gitignore").write_text("*\n")
    for name in ("conftest.py", "sitecustomize.py", "json.py", "griffe.py", "radon.py"):
        (root / name).write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    before = _state(root)
    assert places(run(task, unit).findings) == expected
    assert _state(root) == before
    assert not (tmp_path / "executed").exists()


def _state(root: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in [root, *root.rglob("*")])
