"""Ruff tells what is wrong, and neither what only an older Python cannot parse nor why it crashed."""

from pathlib import Path

from workers.bug_hunter import SEVERITIES
from workers.findings import Severity
from workers.lint import INVALID_SYNTAX, check, findings, parses


def test_syntax_of_a_newer_python_than_the_target_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text("type X = int\ny = f'{'a' 'b'}'\nimport os\n")
    (tmp_path / "broken.py").write_text("type X = int\ndef 1\n")
    (tmp_path / "compiled.py").write_text("type X = int\ndef f(a, a):\n    pass\n")
    found = check(str(tmp_path), ["new.py", "broken.py", "compiled.py"], ["F4"])
    assert {(item["filename"], item["location"]["row"], item["code"]) for item in found} == {
        ("new.py", 3, "F401"),
        ("broken.py", 2, INVALID_SYNTAX),
        ("compiled.py", 2, INVALID_SYNTAX),
    }
    assert [parses((tmp_path / name).read_text()) for name in ("new.py", "broken.py")] == [True, False]


def test_expressions_as_deep_as_python_takes_do_not_crash_ruff(tmp_path: Path) -> None:
    # Two files: of a single one ruff makes its main thread's work, which has a larger stack.
    for name in ("minus.py", "dots.py"):
        (tmp_path / name).write_text("import os\nx = " + "-" * 2800 + "1\ny = z" + ".a" * 2800 + "\n")
    assert [item["code"] for item in check(str(tmp_path), ["minus.py", "dots.py"], ["F4"])] == ["F401", "F401"]


def test_what_crashes_ruff_cannot_be_parsed() -> None:
    assert not parses("def 1\nx = " + "-" * 100_000 + "1\n")


def test_the_root_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.py").write_text("import os\n")
    (tmp_path / "link").symlink_to("real")
    assert [item["filename"] for item in check(str(tmp_path / "link"), ["a.py"], ["F4"])] == ["a.py"]


def test_the_longest_prefix_gives_the_severity(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(a=[]):\n    for i in a:\n        print(g)\n    zip(a, a)\n")
    found = findings("bug_hunter", check(str(tmp_path), ["a.py"], ["B", "F82"]), SEVERITIES)
    assert {item.rule: item.severity for item in found} == {
        "B006": Severity.HIGH,
        "B007": Severity.MEDIUM,
        "B905": Severity.LOW,
        "F821": Severity.HIGH,
    }
