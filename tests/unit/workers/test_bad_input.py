"""Whatever a project holds, the work goes on, what could not be read is listed, and the project is left alone."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.seeded import FIXTURES, places, run, unit_of
from workers import bug_hunter, code_architect, code_reviewer, performance_optimizer, security_analyst
from workers.findings import Finding, Unit
from workers.source import SIZE_MAX_BYTES, UnreadableError, read
from workers.tool import ARGUMENTS_MAX_BYTES

TASKS = (
    bug_hunter.review,
    bug_hunter.dead_code,
    code_architect.review,
    code_reviewer.review,
    performance_optimizer.review,
    security_analyst.review,
)

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)

NEWER = f"needs a newer Python than 3.{sys.version_info.minor}"

#: Content of a file, and why it cannot be examined.
UNREADABLE = {
    "broken.py": (b"x = 1\ndef (:\n", "has a syntax error in line 2: invalid syntax"),
    "python2.py": (b"print 'x'\n", "has a syntax error in line 1: Missing parentheses in call to 'print'"),
    "nul.py": (b"x = 1\0\n", "contains NUL bytes"),
    "utf16.py": ("x = 1\n".encode("utf-16"), "contains NUL bytes"),
    "bytes.py": (b"x = '\xff'\n", "cannot be decoded"),
    "cookie.py": (b"# coding: klingon\nx = 1\n", "cannot be decoded: unknown encoding: klingon"),
    "liar.py": (b"# coding: ascii\nx = '\xc3\xbc'\n", "cannot be decoded"),
    "deep.py": (b"x = " + b"(" * 500 + b")" * 500, "is nested too deeply to be parsed"),
    "deeper.py": (b"x = " + b"-" * 100_000 + b"1", "is nested too deeply to be parsed"),
    "huge.py": (b"x = 1\n" * (SIZE_MAX_BYTES // 6 + 1), "is too large: 5,000,004 bytes, the limit is 5,000,000"),
}

#: A file with one finding of every kind of tool, and its rules with their lines.
GOOD = (
    "import subprocess\n\n\ndef f(x, found=[], unused_one=1):\n    found.append(list(x)[0])\n"
    "    return subprocess.call(x, shell=True)\n    print()\n"
)
GOOD_PLACES = {
    bug_hunter.review: [(4, "B006")],
    bug_hunter.dead_code: [(4, "V103"), (4, "V107"), (7, "V201")],
    code_architect.review: [],
    code_reviewer.review: [(4, "RET503")],
    performance_optimizer.review: [(5, "RUF015")],
    security_analyst.review: [(1, "B404"), (6, "B602")],
}

#: Names that are unusual but good.
NAMES = ("with space.py", "🐝 ünï.py", "-rf.py", "--config=x.py", "new\nline.py", "*[a].py", "@args.py", "a;b.py")


@pytest.fixture(scope="module")
def bad_project(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    """A project with everything in it that cannot be read, and one good file."""
    root = tmp_path_factory.mktemp("bad project 🐝")
    for name, (content, _) in UNREADABLE.items():
        (root / name).write_bytes(content)
    (root / "directory.py").mkdir()
    os.mkfifo(root / "pipe.py")
    (root / "loop.py").symlink_to("loop.py")
    (root / "good.py").write_text(GOOD)
    return Unit(root=str(root), files=tuple(sorted([*os.listdir(root), "gone.py"])))


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_examined_says_why(name: str, bad_project: Unit) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(bad_project.root, name)
    assert str(caught.value).startswith(UNREADABLE[name][1])


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this interpreter reads the newest syntax there is")
@pytest.mark.parametrize("text", ["try:\n    pass\nexcept A, B:\n    pass\n", "x = t'{y}'\n"])
def test_code_for_a_newer_python_is_not_called_broken(text: str, tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text(text)
    with pytest.raises(UnreadableError, match=NEWER):
        read(str(tmp_path), "new.py")
    (tmp_path / "new.py").write_text(text + "def (\n")
    with pytest.raises(UnreadableError, match="syntax error"):
        read(str(tmp_path), "new.py")


@each_task
def test_every_agent_lists_what_it_could_not_read_and_examines_the_rest(task: Any, bad_project: Unit) -> None:
    outcome = run(task, bad_project)
    assert {item.path: item.agent for item in outcome.skipped} == dict.fromkeys(
        [*UNREADABLE, "directory.py", "gone.py", "loop.py", "pipe.py"], outcome.agent
    )
    assert [(found.line, found.rule) for found in sorted(outcome.findings, key=_place)] == GOOD_PLACES[task]


@each_task
def test_unusual_names_are_names(task: Any, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_text(GOOD)
    outcome = run(task, unit_of(tmp_path))
    assert outcome.skipped == ()
    expected = sorted((name, line, rule) for name in NAMES for line, rule in GOOD_PLACES[task])
    assert places(outcome.findings) == expected


def test_a_comment_that_only_looks_like_a_type_does_not_make_used_code_look_unused(tmp_path: Path) -> None:
    (tmp_path / "comment.py").write_text("def f():\n    # type: (int -> str\n    return 1\n\n\nf()\n")
    outcome = run(bug_hunter.dead_code, unit_of(tmp_path))
    assert (outcome.findings, outcome.skipped) == ((), ())


def test_a_stub_is_no_dead_code(tmp_path: Path) -> None:
    (tmp_path / "a.pyi").write_text("def f(x: int) -> int: ...\n")
    assert run(bug_hunter.dead_code, unit_of(tmp_path, "*.pyi")).findings == ()


def test_what_one_tool_alone_cannot_take_is_listed_for_it(tmp_path: Path) -> None:
    (tmp_path / "nested.py").write_text("def g():\n    return " + "-" * 900 + "1\n")
    (tmp_path / "good.py").write_text("def unused():\n    pass\n")
    unit = unit_of(tmp_path)
    found = run(bug_hunter.dead_code, unit)
    assert places(found.findings) == [("good.py", 1, "V103")]
    assert [(item.path, item.reason) for item in found.skipped] == [
        ("nested.py", "is nested too deeply for vulture"),
    ]
    assert [item.reason for item in run(performance_optimizer.review, unit).skipped] == [
        "is nested too deeply for radon"
    ]


def _place(finding: Finding) -> tuple[int, str]:
    return finding.line, finding.rule


@each_task
def test_another_encoding_is_read_or_listed(task: Any, tmp_path: Path) -> None:
    (tmp_path / "latin.py").write_bytes(b"# coding: latin-1\nNAME = 'M\xfcller'\npassword = 'gr\xfcn-horse-battery'\n")
    outcome = run(task, unit_of(tmp_path))
    listed = [(item.path, item.reason) for item in outcome.skipped]
    if task in {bug_hunter.review, code_reviewer.review, performance_optimizer.review}:
        assert listed == [("latin.py", "is written in iso-8859-1: ruff reads UTF-8 only")]
    else:
        assert listed == []
    if task is security_analyst.review:
        assert places(outcome.findings) == [("latin.py", 3, "B105"), ("latin.py", 3, "KeywordDetector")]


@each_task
def test_an_empty_unit_has_no_findings(task: Any, tmp_path: Path) -> None:
    assert run(task, Unit(root=str(tmp_path), files=())).findings == ()


def test_secrets_in_other_files_pass_over_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("mirror = https://clerk:s3cr3tw0rd@shop.example.com/\n")
    (tmp_path / "b.ini").write_bytes(b"\xff\xfe")
    (tmp_path / "c.dat").write_bytes(b"\0")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\0")
    outcome = run(security_analyst.secrets, unit_of(tmp_path, "*"))
    assert places(outcome.findings) == [("a.ini", 1, "BasicAuthDetector")]
    assert [(item.path, item.reason) for item in outcome.skipped] == [
        ("b.ini", "is not UTF-8 text"),
        ("c.dat", "contains NUL bytes"),
    ]


@each_task
def test_a_project_is_not_configured_executed_nor_written_to(task: Any, tmp_path: Path) -> None:
    unit = _copy(FIXTURES / task.agent_type / "seeded", tmp_path / "plain")
    trapped = _copy(FIXTURES / task.agent_type / "seeded", tmp_path / "trapped")
    root = Path(trapped.root)
    (root / "pyproject.toml").write_text('[tool.ruff.lint]\nselect = ["D"]\n[tool.bandit]\nskips = ["B602"]\n')
    (root / "ruff.toml").write_text('force-exclude = true\nexclude = ["*.py"]\n')
    (root / ".bandit").write_text("[bandit]\nskips = B301,B307\n")
    (root / ".gitignore").write_text("*\n")
    trap = f"open({str(tmp_path / 'executed')!r}, 'w')\n"
    for name in ("conftest.py", "sitecustomize.py", "setup.py", "json.py", "ast.py", "grimp.py"):
        (root / name).write_text(trap)
    before = _state(root)
    outcome = run(task, Unit(root=trapped.root, files=(*trapped.files, "setup.py", "json.py", "ast.py")))
    assert _state(root) == before
    assert not (tmp_path / "executed").exists()
    traps = {"setup.py", "json.py", "ast.py"}
    assert places(item for item in outcome.findings if item.path not in traps) == places(run(task, unit).findings)


def _copy(source: Path, target: Path) -> Unit:
    for path in source.rglob("*.py"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    return unit_of(target)


def _state(root: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in [root, *root.rglob("*")])


def test_the_security_analyst_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *args: asked.append(args))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: asked.append(args))
    findings = run(security_analyst.review, unit_of(FIXTURES / "security_analyst" / "seeded")).findings
    assert "AWSKeyDetector" in {finding.rule for finding in findings}
    assert asked == []


@pytest.mark.slow
def test_more_files_than_a_command_line_takes(tmp_path: Path) -> None:
    count = os.sysconf("SC_ARG_MAX") // 230
    directory = tmp_path / ("d" * 200)
    directory.mkdir()
    for number in range(count):
        (directory / f"{number:025}.py").write_text("import os\n" if number % 1000 == 0 else "")
    unit = unit_of(tmp_path)
    assert sum(len(path) + 1 for path in unit.files) > max(ARGUMENTS_MAX_BYTES, 0.9 * os.sysconf("SC_ARG_MAX"))
    found = run(code_reviewer.review, unit).findings
    assert len(found) == len(range(0, count, 1000))
