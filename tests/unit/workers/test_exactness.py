"""What the agents say of the units is what the tools say of the whole, no more and no fewer."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import celery
import pytest

from tests.support.seeded import run, unit_of
from workers import bug_hunter, code_reviewer, performance_optimizer, security_analyst
from workers.findings import Finding, Unit
from workers.lint import TARGET_VERSION

#: Real code: some 5,000 lines.
TREE = Path(celery.__file__).parent / "utils"

UNITS = 4


def in_units(task: Any, tool: str) -> list[Finding]:
    """Run a task over the tree in units, and return what it found with ``tool``."""
    files = unit_of(TREE).files
    units = [Unit(root=str(TREE), files=files[start::UNITS]) for start in range(UNITS)]
    return [finding for unit in units for finding in run(task, unit).findings if finding.tool == tool]


@pytest.mark.parametrize("agent", [code_reviewer, bug_hunter, performance_optimizer], ids=lambda agent: agent.AGENT)
def test_ruff_in_units_equals_one_run(agent: Any) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--output-format", "json"]
    options = ["--select", ",".join(agent.RULES), "--target-version", TARGET_VERSION, "--line-length", "120"]
    direct = json.loads(subprocess.run([*command, *options, str(TREE)], capture_output=True, check=False).stdout)
    expected = Counter(
        (str(Path(item["filename"]).relative_to(TREE)), item["location"]["row"], item["code"], item["message"])
        for item in direct
    )
    assert expected
    assert Counter((item.path, item.line, item.rule, item.message) for item in in_units(agent.review, "ruff")) == (
        expected
    )


@pytest.mark.slow
def test_bandit_in_units_equals_one_run() -> None:
    command = [sys.executable, "-m", "bandit", "--quiet", "--recursive", "--format", "json", str(TREE)]
    direct = json.loads(subprocess.run(command, capture_output=True, check=False).stdout)
    expected = Counter(
        (str(Path(item["filename"]).relative_to(TREE)), item["line_number"], item["col_offset"] + 1, item["test_id"])
        for item in direct["results"]
    )
    assert expected
    found = in_units(security_analyst.review, "bandit")
    assert Counter((item.path, item.line, item.column, item.rule) for item in found) == expected


def test_no_two_agents_select_the_same_rule() -> None:
    def rules(agent: Any) -> set[str]:
        command = [sys.executable, "-m", "ruff", "check", "--isolated", "--show-settings"]
        shown = subprocess.run(
            [*command, "--select", ",".join(agent.RULES)], capture_output=True, text=True, check=True
        )
        enabled = shown.stdout.partition("linter.rules.enabled = [")[2].partition("]")[0]
        return set(enabled.split(",\n"))

    reviewer, hunter, optimizer = map(rules, (code_reviewer, bug_hunter, performance_optimizer))
    assert len(reviewer) > 100
    assert len(hunter) > 100
    assert not {rule.strip() for rule in reviewer & hunter} - {""}
    assert not {rule.strip() for rule in (reviewer | hunter) & optimizer} - {""}


def test_the_readme_shows_the_settings() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    for agent in (code_reviewer, bug_hunter, performance_optimizer):
        assert f"`{','.join(agent.RULES)}`" in readme
    assert f"--target-version {TARGET_VERSION} --line-length {code_reviewer.LINE_LENGTH}" in readme
    assert f"from {bug_hunter.MIN_CONFIDENCE_PERCENT} % confidence" in readme
