"""A project's tests run in a copy, with coverage, and under limits; only on request."""

import hashlib
import sys
from pathlib import Path

import pytest

from tests.support.seeded import FIXTURES, unit_of
from workers.findings import Outcome
from workers.test_engineer import survey
from workers.tool import ToolFailedError, ToolTimeoutError
from workers.trial import try_tests

pytestmark = pytest.mark.slow


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(root.rglob("*"))
    }


def project(tmp_path: Path, **files: str) -> Path:
    root = tmp_path / "a project 🐝"
    root.mkdir()
    for name, text in files.items():
        (root / f"{name}.py").write_text(text)
    return root


def test_failures_and_coverage_are_told_and_nothing_runs_unasked() -> None:
    root = FIXTURES / "test_engineer" / "seeded"
    before = digests(root)
    asked, unasked = (Outcome.model_validate(survey(unit_of(root), run_tests=run)) for run in (True, False))
    assert digests(root) == before
    extra = {(item.path, item.line, item.rule) for item in set(asked.findings) - set(unasked.findings)}
    assert extra == {
        ("tests/test_buying.py", 33, "failing-test"),
        ("shop/loyalty.py", 0, "low-coverage"),
    }
    run = asked.facts["run"]
    assert (run["passed"], run["skipped"], len(run["failures"])) == (6, 1, 1)
    assert run["coverage"]["shop/basket.py"] == 100.0
    assert "assert 1.5 == 2" in run["failures"][0]["message"]
    assert "run" not in unasked.facts


def test_the_clean_twin_passes() -> None:
    outcome = Outcome.model_validate(survey(unit_of(FIXTURES / "test_engineer" / "clean"), run_tests=True))
    assert outcome.findings == ()
    skipped, parametrised, not_collected_by_default = 1, 2, 1
    expected = outcome.facts["tests"] - skipped + parametrised - not_collected_by_default
    assert outcome.facts["run"]["passed"] == expected


def test_tests_see_a_copy_without_the_callers_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    root = project(
        tmp_path,
        store="PATH = __file__\n",
        test_store=(
            "import os, pathlib, store\n"
            "def test_writes():\n"
            "    assert pathlib.Path(store.PATH).parent == pathlib.Path.cwd()\n"
            "    pathlib.Path('left.txt').write_text('x')\n"
            "    pathlib.Path(store.PATH).write_text('')\n"
            "    assert not pathlib.Path('link').exists()\n"
            "    assert not pathlib.Path('linked.txt').exists()\n"
            "    assert 'SECRET_TOKEN' not in os.environ\n"
        ),
    )
    (root / "link").symlink_to(root, target_is_directory=True)
    (root / "linked.txt").symlink_to(root / "store.py")
    (root / ".venv").mkdir()
    (root / ".venv" / "test_not_ours.py").write_text("def test_not_ours(): assert False\n")
    before = digests(root)
    trial = try_tests(str(root))
    assert (trial.passed, trial.failures) == (1, ())
    assert digests(root) == before


def test_limits_hold_for_time_memory_and_files(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        test_greedy=(
            "def test_memory():\n"
            "    bytearray(16 * 1024**3)\n"
            "def test_disk(tmp_path):\n"
            "    with open(tmp_path / 'large', 'wb') as file:\n"
            "        file.truncate(2 * 1024**3)\n"
        ),
    )
    kinds = {failure.test: failure.message.partition(" ")[0] for failure in try_tests(str(root)).failures}
    memory = kinds.pop("test_greedy.test_memory", "")
    assert memory.startswith("MemoryError") or sys.platform == "darwin"
    assert kinds.pop("test_greedy.test_disk").startswith("OSError")
    assert kinds == {}
    (root / "test_greedy.py").write_text("def test_for_ever():\n    while True:\n        pass\n")
    with pytest.raises(ToolTimeoutError):
        try_tests(str(root), timeout_s=3)


def test_what_cannot_be_collected_is_an_error_and_the_rest_runs(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        test_lost="import a_package_nobody_has\ndef test_a(): pass\n",
        test_found="def test_b(): assert True\n",
    )
    (root / "pytest.ini").write_text("[pytest]\naddopts = --an-option-of-a-missing-plugin\n")
    outcome = Outcome.model_validate(survey(unit_of(root), run_tests=True))
    assert outcome.facts["run"]["passed"] == 1
    (error,) = [item for item in outcome.findings if item.tool == "pytest"]
    assert (error.path, error.rule) == ("test_lost.py", "test-error")
    assert "a_package_nobody_has" in error.message


def test_a_pytest_that_cannot_run_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    root = project(tmp_path, conftest="raise RuntimeError('no')\n", test_a="def test_a(): pass\n")
    with pytest.raises(ToolFailedError, match="ended with code 4"):
        try_tests(str(root))
