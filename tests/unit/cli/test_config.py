"""`hive config`: what it prints is what an application would work with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hive.cli.main import cli
from hive.errors import HiveError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(toml: str) -> Result:
    Path("hive.toml").write_text(toml)
    return CliRunner().invoke(cli, ["config", "--json"])


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('retr = "adaptive"', "agents.code_reviewer.retr is no field .* did you mean 'retry'"),
        ('retry = "adaptve"', "no retry strategy 'adaptve'; did you mean 'adaptive'"),
        ("concurrency = {minimum = 5, maximum = 2}", r"minimum \(5\) is above"),
    ],
)
def test_it_refuses_the_table_of_an_agent_type_that_cannot_work(table: str, sentence: str) -> None:
    refused = config(f"[agents.code_reviewer]\n{table}\n")
    assert isinstance(refused.exception, HiveError)
    assert refused.stdout == ""
    with pytest.raises(HiveError, match=sentence):
        raise refused.exception


def test_it_says_which_table_is_a_new_agent_type() -> None:
    seen = config('[agents.code_reviewr]\nretry = "adaptive"\n[agents.bug_hunter]\ndomains = ["c"]\n')
    assert seen.exit_code == 0
    assert seen.stderr == (
        "hive: [agents.code_reviewr] declares an agent type of its own; did you mean 'code_reviewer'?\n"
    )
    assert set(json.loads(seen.stdout)["agents"]["value"]) == {"code_reviewr", "bug_hunter"}
