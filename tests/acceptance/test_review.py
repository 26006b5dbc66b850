"""`hive review` and `hive ask` as an operator types them: real processes, pools and broker, real tools."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import psutil
import pytest

from hive.cli.main import cli
from hive.errors import InputError
from tests.support.eventually import eventually
from workers import bug_hunter, code_reviewer, performance_optimizer
from workers.lint import TARGET_VERSION
from workers.plan import AGENTS

HIVE = str(Path(sys.executable).with_name("hive"))

#: Real code, some 6,000 lines in more than one unit.
TREE = Path(celery.__file__).parent / "worker"

#: The agents whose tools are quick, where the pools and not the tools are what is tested.
QUICK = "code_reviewer,bug_hunter,documentation_writer"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of the test's own; whatever still serves it at the end is ended."""
    monkeypatch.setenv("HIVE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "home"
    subprocess.run([HIVE, "down"], capture_output=True, check=False, timeout=200)


def hive(*arguments: str, timeout_s: float = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HIVE, *arguments], capture_output=True, text=True, check=False, timeout=timeout_s)


def report_of(output: Path) -> dict[str, Any]:
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


def fingerprint(tree: Path) -> dict[str, str]:
    """What every file of a tree holds, and every directory's entries: anything written there changes it."""
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        for path in sorted(tree.rglob("*"))
    }


def serving(home: Path) -> list[int]:
    """Processes that were started with a home."""
    wanted = str(home)
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HIVE_HOME") == wanted and process.pid != os.getpid():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def ruff_directly(root: Path) -> Counter[tuple[str, int, str]]:
    """What ruff says of a tree when run on it as a whole, with the agents' settings."""
    rules = {rule for agent in (code_reviewer, bug_hunter, performance_optimizer) for rule in agent.RULES}
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--output-format", "json"]
    options = ["--select", ",".join(sorted(rules)), "--target-version", TARGET_VERSION, "--line-length", "120"]
    output = subprocess.run([*command, *options, str(root)], capture_output=True, check=False).stdout
    return Counter(
        (str(Path(item["filename"]).relative_to(root)), item["location"]["row"], item["code"])
        for item in json.loads(output)
    )


def bandit_directly(root: Path) -> Counter[tuple[str, int, str]]:
    """What bandit says of a tree when run on it as a whole."""
    command = [sys.executable, "-m", "bandit", "--quiet", "--recursive", "--format", "json", str(root)]
    output = subprocess.run(command, capture_output=True, check=False).stdout
    return Counter(
        (str(Path(item["filename"]).relative_to(root)), item["line_number"], item["test_id"])
        for item in json.loads(output)["results"]
    )


def found_with(report: dict[str, Any], tool: str) -> Counter[tuple[str, int, str]]:
    return Counter((item["path"], item["line"], item["rule"]) for item in report["findings"] if item["tool"] == tool)


@pytest.mark.slow
@pytest.mark.acceptance
def test_all_agents_review_real_code_exactly_as_their_tools_do(home: Path, tmp_path: Path) -> None:
    before = fingerprint(TREE)
    over_pools = hive("review", str(TREE), "--output", "out", "--json")
    assert over_pools.returncode == 0, over_pools.stderr
    report = report_of(tmp_path / "out")

    assert report["complete"]
    assert report["skipped"] == []
    assert {step["agent"] for step in report["steps"]} == set(AGENTS)
    assert found_with(report, "ruff") == ruff_directly(TREE)
    assert found_with(report, "bandit") == bandit_directly(TREE)
    for step in report["steps"]:
        assert step["run"]["worker"].startswith(f"{step['agent']}@"), "each ran in the pool of its agent type"
    summary = json.loads(over_pools.stdout)
    assert summary["findings"]["total"] == len(report["findings"])
    assert summary["paths"] == [str(tmp_path / "out" / name) for name in ("report.json", "report.html")]
    assert "<title>hive review: worker</title>" in (tmp_path / "out/report.html").read_text(encoding="utf-8")

    serially = hive("review", str(TREE), "--output", "serial", "--serial")
    assert serially.returncode == 0, serially.stderr
    other = report_of(tmp_path / "serial")
    for part in ("findings", "skipped", "facts", "files"):
        assert other[part] == report[part], f"{part} do not depend on where the tasks ran"
    last_lines = [line.strip() for line in serially.stdout.splitlines()[-2:]]
    assert last_lines == [str(tmp_path / "serial" / name) for name in ("report.json", "report.html")]

    assert fingerprint(TREE) == before, "the reviewed project is never written to"
    assert eventually(lambda: not serving(home), what="the hive that was started for it has ended")


@pytest.mark.slow
@pytest.mark.acceptance
def test_an_interrupt_leaves_a_partial_report_and_no_process(home: Path, tmp_path: Path) -> None:
    tree = Path(celery.__file__).parent
    command = [HIVE, "review", str(tree), "--output", "out", "--json"]
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True)
        # The quick pools are through while the slow ones work on.
        eventually(
            lambda: "code reviewer: " in (tmp_path / "said").read_text(),
            timeout_s=60,
            what="a pool that is through",
        )
        process.send_signal(signal.SIGINT)
        eventually(lambda: "stopping the pools" in (tmp_path / "said").read_text(), what="the first signal is heeded")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 130
    assert "hive: already stopping" in (tmp_path / "said").read_text()
    summary = json.loads(output)
    assert summary["interrupted"]
    report = report_of(tmp_path / "out")
    states = Counter(step["state"] for step in report["steps"])
    assert states["done"] > 0
    assert states["revoked"] > 0
    assert set(states) == {"done", "revoked"}
    assert [item for item in report["findings"] if item["agent"] == "code_reviewer"], "what was done is kept"
    assert "This report is partial" in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert eventually(lambda: not serving(home), what="no process is left")


@pytest.mark.slow
@pytest.mark.acceptance
@pytest.mark.parametrize("said", ["looking for a hive", "starting 10 pools", "of 10 pools serve"])
def test_an_interrupt_before_the_work_is_a_sentence_and_leaves_nothing(home: Path, tmp_path: Path, said: str) -> None:
    with (tmp_path / "said").open("w+") as log:
        process = subprocess.Popen([HIVE, "review", str(TREE)], stdout=log, stderr=log, start_new_session=True)
        eventually(lambda: said in (tmp_path / "said").read_text(), timeout_s=60, every_s=0.005, what=said)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    lines = (tmp_path / "said").read_text().splitlines()
    assert lines[-1] == ("hive: stopped before the work began: there is nothing to report, and nothing is left running")
    assert not (tmp_path / "hive-report").exists()
    eventually(lambda: serving(home) == [], what="nothing is left")


@pytest.mark.slow
@pytest.mark.acceptance
def test_odd_files_are_reviewed_or_listed(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "odd project 🐝"
    (project / "out").mkdir(parents=True)
    (project / "good.py").write_text("import os\n")
    (project / "ünï 🐍.py").write_text("import os\n", encoding="utf-8")
    (project / "latin.py").write_bytes("# coding: latin-1\nimport os\nx = 'é'\n".encode("latin-1"))
    (project / "broken.py").write_text("def f(:\n")
    (project / "newer.py").write_text("type X[T = int] = list[T]\nt = t'{X}'\n")
    (project / "nul.py").write_bytes(b"x\0")
    (project / "loop").symlink_to(project)
    (project / "out/own.py").write_text("import os\n")
    with (project / "huge.py").open("wb") as huge:
        huge.truncate(50_000_000)

    done = hive("review", str(project), "--output", str(project / "out"), "--agents", QUICK)

    assert done.returncode == 0, done.stderr
    report = report_of(project / "out")
    assert report["complete"]
    unused = {item["path"] for item in report["findings"] if item["rule"] == "F401"}
    assert {"good.py", "ünï 🐍.py"} <= unused
    assert "out/own.py" not in {file["path"] for file in report["files"]}
    reasons = {item["path"]: item["reason"] for item in report["skipped"]}
    assert {"nul.py", "loop", "huge.py", "broken.py", "newer.py"} <= set(reasons)
    assert "newer Python" in reasons["newer.py"]
    assert "newer Python" not in reasons["broken.py"]


@pytest.mark.acceptance
def test_bad_input_is_one_sentence_and_an_exit_code(home: Path, tmp_path: Path) -> None:
    done = hive("review", "missing")
    assert done.returncode == 2
    assert done.stderr.startswith("hive: there is no 'missing'")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "hive-report").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("review", ""), "the path is empty"),
        (("review", "one.py"), "is a file: name the directory"),
        (("review", "empty"), "holds no Python file"),
        (("review", "src", "--agents", "code_reviwer"), "is no agent of a review"),
        (("review", "src", "--agents", "code_reviewer", "--run-tests"), "not among the chosen agents"),
        (("review", "src", "--output", "one.py/report"), "one.py is a file"),
        (("review", "src", "--output", "src"), "is the reviewed project itself"),
        (("ask", "src", "  "), "the question is empty"),
        (("ask", "missing", "why"), "there is no 'missing'"),
    ],
)
def test_each_bad_input_has_its_sentence(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "src").mkdir()
    for name in ("one.py", "src/a.py"):
        (tmp_path / name).write_text("x = 1\n")
    with pytest.raises(InputError, match=re.escape(sentence)):
        cli.main(arguments, standalone_mode=False)
    assert not (tmp_path / "hive-report").exists()


@pytest.mark.slow
@pytest.mark.acceptance
def test_ask_quotes_what_the_project_says(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "shop"
    project.mkdir()
    (project / "README.md").write_text("# Shop\n\nIt sells tea.\n\n## Refunds\n\nA refund is paid within nine days.\n")
    (project / "till.py").write_text('def pay():\n    """Take the money from the customer\'s purse."""\n')

    over_pool = hive("ask", str(project), 'When is a "refund" paid? AND (', "--json")
    assert over_pool.returncode == 0, over_pool.stderr
    best = json.loads(over_pool.stdout)["passages"][0]
    assert (best["path"], best["line"]) == ("README.md", 5)
    assert "nine days" in best["text"]

    serially = hive("ask", str(project), "whose purse?", "--serial")
    assert serially.stdout.startswith("till.py:2\n")
    nothing = hive("ask", str(project), "zebra", "--serial")
    assert nothing.returncode == 0
    assert "nothing found" in nothing.stdout
