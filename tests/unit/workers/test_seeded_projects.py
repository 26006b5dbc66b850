"""The agents that look at a project as a whole find every seeded defect, and nothing in the clean twin."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.seeded import FIXTURES, Place, places, run, seeds, unit_of
from workers import documentation_writer, domain_expert, general_developer, refactoring_specialist, test_engineer

AGENTS: dict[str, tuple[Any, ...]] = {
    "documentation_writer": (documentation_writer.review,),
    "domain_expert": (domain_expert.survey,),
    "general_developer": (general_developer.survey,),
    "refactoring_specialist": (refactoring_specialist.review, refactoring_specialist.duplicates),
    "test_engineer": (test_engineer.survey,),
}

#: What is seeded where no comment can stand: whole files, JSON, directives that end with their line.
UNMARKED: dict[str, list[Place]] = {
    "domain_expert": [
        ("docs/index.rst", 4, "broken-link"),
        ("docs/index.rst", 6, "broken-link"),
        ("docs/notes.txt", 0, "empty-document"),
    ],
    "general_developer": [
        ("config/app.ini", 3, "duplicate-key"),
        ("config/data.json", 3, "invalid-json"),
        ("config/old.ini", 1, "invalid-ini"),
        ("config/twice.json", 3, "duplicate-key"),
    ],
    "test_engineer": [("shop/stock.py", 0, "untested-module")],
}


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HIVE_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("agent", AGENTS)
def test_all_seeded_defects_are_found_and_none_invented(agent: str) -> None:
    unit = unit_of(FIXTURES / agent / "seeded", "*")
    found = [finding for task in AGENTS[agent] for finding in run(task, unit).findings]
    assert seeds(unit)
    assert places(found) == sorted([*seeds(unit), *UNMARKED.get(agent, [])])
    assert {finding.agent for finding in found} == {agent}


@pytest.mark.parametrize("agent", AGENTS)
def test_the_clean_twin_has_no_finding(agent: str) -> None:
    unit = unit_of(FIXTURES / agent / "clean", "*")
    for task in AGENTS[agent]:
        outcome = run(task, unit)
        assert unit.files
        assert (outcome.findings, outcome.skipped) == ((), ())


@pytest.mark.parametrize("task", [task for tasks in AGENTS.values() for task in tasks], ids=lambda task: task.name)
def test_a_task_takes_and_returns_what_json_can_carry_and_repeats_itself(task: Any) -> None:
    unit = unit_of(FIXTURES / task.agent_type / "seeded", "*")
    turned = unit.model_copy(update={"files": tuple(reversed(unit.files))})
    first, second = (task.apply(args=[given.model_dump(mode="json")]).get() for given in (unit, turned))
    assert first["findings"] == second["findings"]
    assert {name: value for name, value in first["facts"].items() if name != "patch"} == {
        name: value for name, value in second["facts"].items() if name != "patch"
    }


def test_the_documentation_writer_outlines_what_a_user_can_reach() -> None:
    outcome = run(documentation_writer.review, unit_of(FIXTURES / "documentation_writer" / "clean"))
    outline = {item["name"]: (item["kind"], item["signature"]) for item in outcome.facts["api"]["shop/till.py"]}
    assert outline == {
        "": ("module", ""),
        "Till": ("class", ""),
        "Till.open": ("function", "open()"),
        "Till.money": ("property", ""),
        "Drawer": ("class", ""),
        "pay": ("function", "pay(amount)"),
        "refund": ("function", "refund(amount, reason='none', *, to=None, **options)"),
        "change": ("function", "change(amount, given)"),
    }
    assert outcome.facts["documented_objects"] == outcome.facts["public_objects"] == len(outline) + 1


def test_a_project_without_tests_is_told_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("def work():\n    return 1\n")
    assert places(run(test_engineer.survey, unit_of(tmp_path)).findings) == [(".", 0, "no-tests")]


def test_what_no_fixture_can_carry(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_bytes(b"a = 1\r\nb = 2\r\nc = 3\n")
    (tmp_path / "large.csv").write_bytes(b"1,2,3\n" * 200_000)
    (tmp_path / "con.txt").write_text("a name that Windows keeps for itself\n")
    unit = unit_of(tmp_path, "*")
    (tmp_path / "Ends.py").write_text("a = 1\n")
    unit = unit.model_copy(update={"files": ("Ends.py", *unit.files)})
    assert places(run(general_developer.survey, unit).findings) == [
        ("con.txt", 0, "unportable-name"),
        ("ends.py", 0, "case-collision"),
        ("ends.py", 3, "mixed-line-endings"),
        ("large.csv", 0, "large-file"),
    ]
